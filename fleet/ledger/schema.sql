-- Purpose: what was asked of the fleet and how far it is. Grain: one row per trial of the queue.
-- Version 2, see opening.py; from_1.sql makes it of version 1.
create table submissions (
    id integer primary key,
    experiment text not null,
    session integer not null,
    request text not null,            -- the experiment with its jobs, JSON
    pid integer not null,             -- of the coordinator
    submitted_unix_s real not null,
    ended_unix_s real,
    outcome text,                     -- done, failed, interrupted; null while it runs
    state text not null,              -- starting, waiting, preparing, measuring, ended
    reason text not null default '',  -- what it waits for, or why it ended as it did
    trials_asked integer,             -- trials asked for; null until it is planned
    submitter text not null default '',
    command text not null default '', -- as typed
    log text not null default ''      -- file with what the coordinator prints
);
create table machines (
    submission integer not null references submissions (id),
    machine text not null,
    machine_id text,
    state text not null,              -- planned, busy, absent, refused, lost
    reason text not null,
    hint text not null,
    changed_unix_s real not null,
    primary key (submission, machine)
);
create table trials (
    trial_id text primary key,
    submission integer not null references submissions (id),
    experiment text not null,
    machine_id text not null,
    machine text not null,
    model text not null,
    job text not null,
    settings text not null,
    block integer not null,
    position integer not null,
    estimate_s real not null,
    state text not null check (
        state in (
            'queued', 'running', 'done', 'failed', 'not needed', 'cancelled', 'left out', 'absent'
        )
    ),
    fence integer not null,
    reason text not null default '',
    changed_unix_s real not null,
    role text not null default 'measure'
);
create index trials_by_experiment on trials (experiment, machine, state);
create table left_out (
    submission integer not null references submissions (id),
    experiment text not null,
    machine text not null,
    what text not null,
    clause text not null,
    hint text not null,
    trials integer not null default 0,    -- how many this stands for; 0: none, or not known
    by_choice integer not null default 0  -- the user's own words left it out
);
