-- What came back by the links and the images of messages, hit by hit, for a time. Nothing says from where it came. Of a
-- message with hits the contact is looked up when they are judged; the row itself only knows the delivery.
create table hits (
    id bigserial primary key,
    customer_id bigint not null,
    batch_id text not null,
    step text not null,
    visit int not null,
    line bigint not null,
    -- opened or clicked; of a click, the link's name and where it led.
    event text not null,
    link text,
    url text,
    method text not null,
    at timestamptz not null,
    -- When the message was written, as its URLs say.
    written_at timestamptz,
    agent text not null,
    prefetch boolean not null,
    -- human, machine or unknown, and what that rests on; null until it is judged.
    verdict text,
    because text
);
create index hits_of_delivery on hits (batch_id, step, visit, line);
create index hits_to_judge on hits (id) where verdict is null;
create index hits_by_time on hits using brin (at);
create index hits_of_customer on hits (customer_id);

-- The events that hits became, by verdict: each delivery, link and verdict counts once. No foreign key: each hit would
-- lock the batch's row, which moves lock too.
create table batch_verdicts (
    batch_id text not null,
    step text not null,
    event text not null,
    verdict text not null,
    events bigint not null,
    primary key (batch_id, step, event, verdict)
);
