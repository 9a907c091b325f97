-- Whom a phone number that answers belongs to: the last text message that went to it from each sender of a customer. A
-- gateway that hands on an answer knows the two numbers and nothing else.
create table sms_threads (
    customer_id bigint not null references customers on delete cascade,
    number text not null,
    -- Empty: whichever the gateway chose.
    sender text not null,
    contact text not null,
    -- The delivery key of the message.
    key text not null,
    at timestamptz not null,
    primary key (number, customer_id, sender)
);
create index sms_threads_by_age on sms_threads using brin (at);
