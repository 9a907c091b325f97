-- name: add
-- Not more than so many for one step: where each contact has a URL of its own, none is asked for twice anyway.
insert into gone_endpoints (batch_id, step, url, reason, at)
select %(batch)s, %(step)s, %(url)s, %(reason)s, %(now)s
where (select count(*) from gone_endpoints where batch_id = %(batch)s and step = %(step)s) < %(most)s
on conflict do nothing

-- name: among
select url, reason from gone_endpoints where batch_id = %(batch)s and step = %(step)s and url = any(%(urls)s)

-- name: forget
delete from gone_endpoints where batch_id = %(batch)s and step = %(step)s
