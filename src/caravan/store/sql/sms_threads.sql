-- name: note
-- The last one of each counts. In the order of the key, so that two senders never wait for each other in a circle.
insert into sms_threads (customer_id, number, sender, contact, key, at)
select distinct on (given.number, given.sender) %(customer)s, given.number, given.sender, given.contact, given.key, now()
from unnest(%(numbers)s::text[], %(senders)s::text[], %(contacts)s::text[], %(keys)s::text[])
    with ordinality as given (number, sender, contact, key, place)
order by given.number, given.sender, given.place desc
on conflict (number, customer_id, sender) do update set contact = excluded.contact, key = excluded.key, at = excluded.at

-- name: of_number
-- The newest first.
select customer_id, number, sender, contact, key, at from sms_threads
where number = %(number)s order by at desc, customer_id

-- name: forget
delete from sms_threads where at < %(before)s

-- name: only_customer
-- The customer of an installation that has no other.
select min(id) as id from customers having count(*) = 1
