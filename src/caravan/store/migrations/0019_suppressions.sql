-- Who must not be written to, and where a delivery's contact is found again when its recipient answers.
create table suppressions (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers on delete cascade,
    -- The word that journey files have for its step.
    channel text not null,
    -- As delivery/suppression.py: comparable writes it. In the order of its octets, so that a beginning can be looked for.
    address text collate "C" not null,
    -- Empty: everything on the channel.
    topic text not null default '',
    reason text not null check (reason in ('unsubscribed', 'hard_bounce', 'complaint', 'stop', 'manual', 'import')),
    -- By which way it came.
    source text not null,
    who text not null,
    at timestamptz not null,
    detail text
);
create unique index suppressions_of_address on suppressions (customer_id, channel, address, topic, reason);
create index suppressions_of_customer on suppressions (customer_id, id);

-- Suppressions that were lifted: together with those that stand, the history of an address.
create table lifted_suppressions (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers on delete cascade,
    channel text not null,
    address text collate "C" not null,
    topic text not null,
    reason text not null,
    source text not null,
    who text not null,
    at timestamptz not null,
    detail text,
    lifted_at timestamptz not null,
    lifted_by text not null,
    lifted_source text not null
);
create index lifted_suppressions_of_address on lifted_suppressions (customer_id, channel, address);

-- Whether its contacts came to the step with it; null before this migration. Such a file is kept as long as the journal.
alter table cohorts add column arrived boolean;
create index cohorts_by_step on cohorts (batch_id, step, visit);
