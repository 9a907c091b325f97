-- name: any_large
select exists (select from cohorts where entry and size >= 4096) as there

-- name: missing
-- Cohorts by which at least so many contacts entered, and that have no filter of this hash function.
select c.id, c.file from cohorts c
where c.entry and c.size >= 4096
  and not exists (select from contact_filters f where f.cohort_id = c.id and f.family = %(family)s)
order by c.id desc limit %(limit)s

-- name: put
insert into contact_filters (cohort_id, family, blocks, bits)
select %(cohort)s, %(family)s, %(blocks)s, %(bits)s where exists (select from cohorts where id = %(cohort)s)
on conflict (cohort_id) do update set family = excluded.family, blocks = excluded.blocks, bits = excluded.bits

-- name: entered
-- The files of a batch's cohorts by which contacts entered, but for those in which a contact can't be: it stands in a block
-- of the filter, whose `places` are all set then.
select c.file from cohorts c left join contact_filters f on f.cohort_id = c.id and f.family = %(family)s
where c.batch_id = %(batch)s and c.entry and (f.cohort_id is null or (
    select bool_and(get_bit(b.block, p.place) = 1)
    from (select substring(f.bits from ((%(block)s::bigint %% f.blocks) * 64 + 1)::integer for 64) as block) b,
        unnest(%(places)s::integer[]) as p (place)
))
order by c.id

-- name: any_entry
select exists (select from cohorts where batch_id = %(batch)s and entry) as there
