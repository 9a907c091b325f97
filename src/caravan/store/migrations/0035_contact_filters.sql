-- A Bloom filter of the contacts of each large cohort by which some entered: where a contact is looked up, the files of most
-- cohorts need not be read. Uncompressed, so that PostgreSQL reads only the part of it that is asked for.
create table contact_filters (
    cohort_id bigint primary key references cohorts (id) on delete cascade,
    family text not null, -- of the hash function
    blocks integer not null, -- of 64 octets
    bits bytea not null
);
alter table contact_filters alter column bits set storage external;

create index cohorts_large_entries on cohorts (id) where entry and size >= 4096;
