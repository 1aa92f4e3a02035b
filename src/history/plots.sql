CREATE TABLE plots (                -- what the farm has, and what is gone and missed
    plot_id BLOB PRIMARY KEY,
    certificate BLOB NOT NULL,      -- SHA-256 of that of the harvester that told of it last; zeros for the farmer's own
    path TEXT NOT NULL              -- on that harvester
) WITHOUT ROWID;
CREATE INDEX plots_of_certificate ON plots (certificate);
