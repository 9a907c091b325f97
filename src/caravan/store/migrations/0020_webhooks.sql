-- Where a webhook step of a batch was told that nothing is there any more (410 Gone): it is not called again. The URL is
-- kept as its SHA-256, since it may hold secrets.
create table gone_endpoints (
    batch_id text not null references batches on delete cascade,
    step text not null,
    url bytea not null,
    reason text not null,
    at timestamptz not null,
    primary key (batch_id, step, url)
);

-- Contacts whom a step could not reach, for good: they have gone on, and can be sent to once more.
create table dead_letters (
    id bigint generated always as identity primary key,
    batch_id text not null references batches on delete cascade,
    step text not null,
    visit int not null,
    file text not null,
    size int not null,
    -- Why, where the file does not say so of each.
    reason text,
    at timestamptz not null
);

create index dead_letters_batch on dead_letters (batch_id, step);

-- Whether its contacts have left the step before, as failed, and go no further from it.
alter table cohorts add column replay boolean not null default false;
