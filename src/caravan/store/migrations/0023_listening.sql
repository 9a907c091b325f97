-- Cohorts that listen for events, at a step that waits for them: what for, and from when on an event counts. While `look` is
-- set, the events that are kept are still to be looked through for them, as after they came to the step.
create table listening (
    cohort_id bigint primary key references cohorts on delete cascade,
    customer_id bigint not null,
    batch_id text not null,
    events text[] not null,
    since timestamptz not null,
    look boolean not null default true
);
create index listening_of_customer on listening (customer_id);
create index listening_of_batch on listening (batch_id);

-- Who has left a cohort that stands, by its place in the cohort's file. No contact can leave twice.
create table departures (
    cohort_id bigint not null references cohorts on delete cascade,
    place int not null,
    primary key (cohort_id, place)
);

-- Events that somebody listens for and that are still to be matched, some of them in each row: a JSON array.
create table unmatched_events (
    id bigint generated always as identity primary key,
    customer_id bigint not null,
    taken_at timestamptz not null default now(),
    events text not null
);
create index unmatched_events_of_customer on unmatched_events (customer_id, id);

-- When its contacts entered the journey; null before this migration.
alter table cohorts add column entered_at timestamptz;
