-- Who has entered a journey that does not let everybody in again. Journeys that do have no rows here. No foreign key: a
-- million rows come at once, and each would be looked up; the customer's rows are deleted with it.
create table entries (
    customer_id bigint not null,
    journey_id bigint not null,
    -- The first half of the SHA-256 of the contact's id.
    contact uuid not null,
    batch_id text not null,
    entered_at timestamptz not null,
    -- From when on the row says nothing any more; null: when its batch has ended.
    holds_until timestamptz,
    primary key (customer_id, journey_id, contact)
);

-- Whether a newest version does not let everybody in again: singles of such a journey are looked up before they arrive.
alter table journeys add column guarded boolean not null default false;
