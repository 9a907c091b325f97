-- A batch that takes contacts which enter its journey by a step of another one. Like one of singles it does so for a day.
alter table batches add column crosses boolean not null default false;

-- The last line that such a contact was given. Not all that were given are taken.
alter table batches add column numbered bigint not null default 0;

create unique index batches_crosses on batches (customer_id, journey_id, version) where crosses and state = 'running';
