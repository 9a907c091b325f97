-- name: candidates
-- Contacts as lines for COPY: the first half of the SHA-256 of the id (store/entries.py: hashed), and the line.
select left(sha256(id), 32) || e'\t' || line as row from contacts

-- name: standing
-- Which of the wanted contacts are among these.
select hash from wanted where hash in (select left(sha256(id), 32) from contacts)
