-- How fast mail may go by one relay, to one provider, or both; like paces, which are of a whole channel.
-- `kind` is 'set' (by a person or a program), 'rules' (by the operator's file) or 'slow' (by what replies said, until
-- `ends_at`). Relays are named as in relays.key.

create table route_paces (
    id bigint generated always as identity primary key,
    kind text not null,
    customer_id bigint references customers (id) on delete cascade,
    channel text not null,
    relay text,
    provider text,
    per_second double precision check (per_second > 0),
    per_day bigint check (per_day > 0),
    ramp_from date,
    ramp_first bigint check (ramp_first > 0),
    ramp_factor double precision check (ramp_factor > 1),
    connections integer check (connections > 0),
    ends_at timestamptz,
    reason text,
    next_free timestamptz not null default '1970-01-01T00:00:00Z',
    day date,
    sent bigint not null default 0,
    changed_at timestamptz not null,
    check (relay is not null or provider is not null),
    check ((ramp_from is null) = (ramp_first is null) and (ramp_from is null) = (ramp_factor is null))
);

create unique index route_paces_of_route
    on route_paces (channel, kind, coalesce(customer_id, 0), coalesce(relay, ''), coalesce(provider, ''));

-- What keeps senders from a relay ('' as the provider), or from one provider by it. `hits` are the replies of each rule
-- within an hour; `holder` may send while it is half open, with so many `connections`.

create table breakers (
    channel text not null,
    relay text not null,
    provider text not null default '',
    state text not null default 'closed',
    reason text,
    changed_at timestamptz not null,
    probe_at timestamptz,
    tries integer not null default 0,
    connections integer not null default 0,
    failures integer not null default 0,
    hits jsonb not null default '{}',
    holder text,
    held_until timestamptz,
    primary key (channel, relay, provider)
);

-- Relays beside that of CARAVAN_SMTP_URL: of one customer, or of all. `url_from` says where the URL is, which has a
-- password in it: env:NAME or file:PATH.

create table relays (
    id bigint generated always as identity primary key,
    customer_id bigint references customers (id) on delete cascade,
    name text not null,
    url_from text not null,
    weight integer not null default 0 check (weight >= 0),
    fallback text,
    added_at timestamptz not null
);

create unique index relays_of_customer on relays (coalesce(customer_id, 0), name);

-- The provider that all contacts of a cohort have, once it was sorted; and for which providers, with commas between,
-- those of a cohort with none were sorted out.
alter table cohorts add column provider text;
alter table cohorts add column sorted_for text;
