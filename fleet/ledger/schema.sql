-- Purpose: what was asked of the fleet and how far it is. Grain: one row per trial of the queue.
create table if not exists submissions (
    id integer primary key,
    experiment text not null,
    session integer not null,
    request text not null,            -- the experiment with its jobs, JSON
    pid integer not null,             -- of the coordinator
    submitted_unix_s real not null,
    ended_unix_s real,
    outcome text                      -- done, failed, interrupted; null while it runs
);
create table if not exists trials (
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
        state in ('queued', 'running', 'done', 'failed', 'not needed', 'cancelled')
    ),
    fence integer not null,
    reason text not null default '',
    changed_unix_s real not null
);
create index if not exists trials_by_experiment on trials (experiment, machine, state);
create table if not exists left_out (
    submission integer not null references submissions (id),
    experiment text not null,
    machine text not null,
    what text not null,
    clause text not null,
    mend text not null
);
