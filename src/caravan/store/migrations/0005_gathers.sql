-- Whether singles enter a batch of the single starter still. One that took them for a day lets another go on, and can end
-- itself once those have left.

alter table batches add column gathers boolean not null default true;

create unique index batches_gathers on batches (customer_id, journey_id, version)
    where starter = 'single' and state = 'running' and gathers;
