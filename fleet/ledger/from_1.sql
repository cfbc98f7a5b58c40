-- Purpose: a ledger of version 1 becomes one of version 2. Grain: runs once per file.
-- The trials are copied: SQLite cannot change the states that a column may have.
alter table submissions add column state text not null default 'ended';
alter table submissions add column reason text not null default '';
alter table submissions add column trials_asked integer;
alter table submissions add column submitter text not null default '';
alter table submissions add column command text not null default '';
alter table submissions add column log text not null default '';
alter table left_out rename column mend to hint;
alter table left_out add column trials integer not null default 0;
alter table left_out add column by_choice integer not null default 0;
create table machines (
    submission integer not null references submissions (id),
    machine text not null,
    machine_id text,
    state text not null,
    reason text not null,
    hint text not null,
    changed_unix_s real not null,
    primary key (submission, machine)
);
drop index trials_by_experiment;
alter table trials rename to trials_1;
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
insert into trials select *, case job when 'canary' then 'canary' else 'measure' end from trials_1;
drop table trials_1;
create index trials_by_experiment on trials (experiment, machine, state);
