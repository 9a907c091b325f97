-- The events by which a cohort's contacts leave their journey, whatever its step waits for, and from when on they count.
alter table listening add column exits text[] not null default '{}';
alter table listening add column exits_since timestamptz;

-- While it is set, the contacts have just come to the step, and those leave first whom a condition of the journey lets go.
alter table cohorts add column checks boolean not null default false;
-- When the contacts came to the step before; null for those of a first step, and before this migration.
alter table cohorts add column before_at timestamptz;
