-- Every moment is in milliseconds since 1970 (UTC): datetime(at_ms / 1000, 'unixepoch', 'localtime').
CREATE TABLE runs (                 -- one row each time the farmer starts
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,       -- last time something was written
    version TEXT NOT NULL
);
CREATE TABLE harvesters (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE signage_points (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    sp_index INTEGER NOT NULL,      -- 0 to 63
    sp_hash BLOB NOT NULL,
    challenge_hash BLOB NOT NULL,
    peak_height INTEGER,
    difficulty INTEGER,
    sub_slot_iters INTEGER,
    harvesters INTEGER              -- how many were asked
);
CREATE INDEX signage_points_at ON signage_points (at_ms);
CREATE INDEX signage_points_hash ON signage_points (sp_hash);
CREATE TABLE attempts (             -- one signage point at one harvester
    signage_point INTEGER NOT NULL REFERENCES signage_points,
    harvester INTEGER NOT NULL REFERENCES harvesters,
    total INTEGER NOT NULL,         -- plots it had
    passed INTEGER,                 -- this and the rest: null if it never answered
    proofs INTEGER,
    lookup_ms INTEGER,
    round_trip_ms INTEGER,
    PRIMARY KEY (signage_point, harvester)
) WITHOUT ROWID;
CREATE TABLE hours (                -- the same by hour and harvester; kept longer
    start_ms INTEGER NOT NULL,
    harvester INTEGER NOT NULL REFERENCES harvesters,
    answered INTEGER NOT NULL DEFAULT 0,
    late INTEGER NOT NULL DEFAULT 0,       -- of those, after 8 s
    unanswered INTEGER NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    proofs INTEGER NOT NULL DEFAULT 0,
    plots INTEGER NOT NULL DEFAULT 0,      -- the most it had
    lookup_sum_ms INTEGER NOT NULL DEFAULT 0,
    lookup_max_ms INTEGER,
    PRIMARY KEY (start_ms, harvester)
) WITHOUT ROWID;
CREATE TABLE quarters (             -- the whole farm by quarter of an hour
    start_ms INTEGER PRIMARY KEY,
    signage_points INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    passed INTEGER NOT NULL,        -- v1 plots that passed the filter
    expected_passed REAL NOT NULL,
    variance REAL NOT NULL,         -- of expected_passed
    proofs INTEGER NOT NULL,        -- good enough for a block
    expected_proofs REAL NOT NULL,
    blocks_signed INTEGER NOT NULL
);
CREATE TABLE luck (                 -- one row
    id INTEGER PRIMARY KEY CHECK (id = 1),
    counted_since_ms INTEGER NOT NULL,
    effort REAL NOT NULL,           -- 1.0 = 100 %
    last_win_ms INTEGER,
    won_ever INTEGER NOT NULL
);
CREATE TABLE proofs (
    run INTEGER NOT NULL REFERENCES runs,
    number INTEGER NOT NULL,
    found_ms INTEGER NOT NULL,
    harvester INTEGER NOT NULL REFERENCES harvesters,
    plot_id BLOB NOT NULL,
    plot_file TEXT NOT NULL,
    sp_index INTEGER NOT NULL,
    quality BLOB,
    stage TEXT NOT NULL,            -- found, not_good_enough, invalid, verified, declared, block_signed, block_accepted, lost
    detail TEXT,                    -- why invalid or lost
    height INTEGER,                 -- of the block
    found_after_ms INTEGER,         -- from the signage point to found; the others from found
    verified_after_ms INTEGER,
    signed_after_ms INTEGER,
    declared_after_ms INTEGER,
    block_asked_after_ms INTEGER,
    block_signed_after_ms INTEGER,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE INDEX proofs_found ON proofs (found_ms);
CREATE TABLE partials (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    pool TEXT NOT NULL,
    harvester INTEGER NOT NULL REFERENCES harvesters,
    plot_file TEXT NOT NULL,
    points INTEGER NOT NULL,        -- 0 unless it was accepted
    outcome TEXT NOT NULL,          -- accepted, stale, late, insufficient, refused, failed, missing
    step TEXT,                      -- where it was when it was lost
    detail TEXT,                    -- why
    after_ms INTEGER NOT NULL       -- from the signage point to its end
);
CREATE INDEX partials_at ON partials (at_ms);
CREATE TABLE plot_changes (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    harvester INTEGER NOT NULL REFERENCES harvesters,
    plots INTEGER NOT NULL,         -- after it
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    removed_from TEXT               -- longest common directory
);
CREATE INDEX plot_changes_at ON plot_changes (at_ms);
CREATE TABLE alarms (
    run INTEGER NOT NULL REFERENCES runs,
    number INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER,              -- null while open; the end of the run if it was open then
    rule TEXT NOT NULL,             -- as harvester_silent
    severity TEXT NOT NULL,         -- critical, warning
    machine TEXT,                   -- harvester or node
    text TEXT NOT NULL,
    remedy TEXT NOT NULL,
    acknowledged INTEGER NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE INDEX alarms_opened ON alarms (opened_ms);
CREATE VIEW answers AS              -- attempts as people read them
    SELECT datetime(p.at_ms / 1000, 'unixepoch', 'localtime') AS time, h.name AS harvester, p.sp_index,
           a.passed, a.total, a.proofs, a.lookup_ms, a.round_trip_ms, p.at_ms
    FROM attempts a JOIN signage_points p ON p.id = a.signage_point JOIN harvesters h ON h.id = a.harvester;
