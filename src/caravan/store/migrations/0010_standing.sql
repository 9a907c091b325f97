-- Contacts that stand until a time or an event, and not because an attempt failed: `reason` says what they wait for. Where
-- only an event can end it, `due_at` is 9999-12-31.

alter table cohorts add column stands boolean not null default false;

-- A secret that was rotated signs what is made from then on; null: from the beginning.
alter table secrets add column since timestamptz;
