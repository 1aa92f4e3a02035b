CREATE TABLE certificates (
    id INTEGER PRIMARY KEY,
    certificate BLOB NOT NULL UNIQUE    -- SHA-256 of a harvester's certificate; zeros for the farmer's own harvester
);
CREATE TABLE plots (                -- what each harvester has, and what is gone and missed
    certificate INTEGER NOT NULL REFERENCES certificates,
    plot_id BLOB NOT NULL,
    path TEXT NOT NULL,             -- on that harvester
    PRIMARY KEY (certificate, plot_id)
) WITHOUT ROWID;
