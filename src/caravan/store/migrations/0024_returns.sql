-- What came back to deliveries after they were sent: bounces, complaints, replies. One of each kind for a delivery, so that
-- the same report counts once, by whichever way it comes. What was just delivered is only an event.
-- No foreign key on batches: each return would lock the batch's row, which moves lock too.
create table returns (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers on delete cascade,
    batch_id text not null,
    step text not null,
    visit int not null,
    line bigint not null,
    contact text not null,
    -- As delivery/suppression.py: comparable writes it; null where it can't be said any more.
    address text,
    kind text not null check (kind in ('bounced', 'complained', 'replied', 'unread')),
    -- Of a bounce: the address is bad for good.
    hard boolean not null,
    code text not null,
    reason text not null,
    source text not null,
    at timestamptz not null,
    taken_at timestamptz not null,
    -- The message as it came, as long as it is kept.
    raw bytea
);
create unique index returns_of_delivery on returns (batch_id, step, visit, line, kind, hard);
create index returns_of_batch on returns (batch_id, id);
create index returns_with_raw on returns (taken_at) where raw is not null;

-- Addresses whose last deliveries bounced without a reason that stays.
create table soft_bounces (
    customer_id bigint not null references customers on delete cascade,
    channel text not null,
    address text collate "C" not null,
    bounces int not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    primary key (customer_id, channel, address)
);

-- Tokens of webhooks whose signature covers nothing else: each is good for one call.
create table webhook_tokens (
    source text not null,
    token text not null,
    taken_at timestamptz not null,
    primary key (source, token)
);
