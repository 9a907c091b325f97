-- name: batches
select id from batches where customer_id = %(customer)s order by id

-- name: open_batches
select id from batches where customer_id = %(customer)s and finished_at is null order by id

-- name: delete_tokens
delete from tokens where customer_id = %(customer)s

-- name: claimed
-- Whether anything of the customer's is in work: a cohort that is claimed, a file that is read or fetched.
select exists (
    select from cohorts c join batches b on b.id = c.batch_id
    where b.customer_id = %(customer)s and c.closed_at is null and c.holder is not null
) or exists (
    select from procrastinate_jobs j join batches b on b.id = j.args->>'batch'
    where b.customer_id = %(customer)s and j.status = 'doing'
) as there
