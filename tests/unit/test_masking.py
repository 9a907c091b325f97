"""Secrets stay out of texts, in whatever spelling they come."""

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caravan.api.signing import Signer
from caravan.delivery.answers import Answer, answer_url
from caravan.delivery.key import DeliveryKey, make_key
from caravan.masking import MASK, SHORTEST, Masker, secrets_in
from caravan.settings import Settings

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST, max_size=30).filter(
    lambda text: len(" ".join(text.split())) >= SHORTEST
)
_UNRESERVED = st.text("abcXYZ019-_", min_size=8, max_size=60)


@given(before=_TEXT, secret=_SECRET, after=_TEXT)
@example(before="'", secret='a"\\b', after="")
@example(before="'\"", secret="it's", after="")
def test_a_known_secret_is_found_in_every_spelling(before: str, secret: str, after: str) -> None:
    masker = Masker([secret])
    around = f"{before} {secret} {after}"
    for text in (
        around,
        repr(around),
        ascii(around),
        json.dumps(around),
        repr(around.encode()),
        " ".join(around.split()),
    ):
        without = masker.text(text)
        assert MASK in without
        assert secret not in without.replace(before, "").replace(after, "") or secret in f"{before}{after}{MASK}"
    for way in (quote(secret), quote(secret, safe="")):
        assert masker.text(f"x {way} y") == f"x {MASK} y" or len(way) < SHORTEST


@given(
    user=st.text("abcdef", max_size=5),
    password=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    scheme=st.sampled_from(["smtp", "smtps", "postgresql", "https", "http", "s3"]),
)
def test_the_password_of_any_url_is_masked_though_it_is_not_known(user: str, password: str, scheme: str) -> None:
    written = quote(password, safe="")
    assert Masker().text(f"no answer of {scheme}://{user}:{written}@host:1/x, sorry") == (
        f"no answer of {scheme}://{user}:{MASK}@host:1/x, sorry"
    )


@given(st.data())
def test_what_has_the_shape_of_a_secret_is_masked(data: st.DataObject) -> None:
    secret = data.draw(_UNRESERVED)
    signed = Signer([secret], "upload").sign(["b_0123456789abcdef", data.draw(st.integers(0, 2**40))])
    key = make_key(DeliveryKey("b_0123456789abcdef0123", 3, 1, data.draw(st.integers(0, 2**40))), b"a")
    answer = answer_url("https://caravan.example", key, data.draw(st.sampled_from(Answer)), secret.encode())
    token = data.draw(st.text("abcXYZ019-_", min_size=43, max_size=43))
    for text, kept in [
        (f"PUT http://host:80/uploads/{signed} failed", signed),
        (f"PUT /uploads/{signed}: 403", signed),
        (f"BadData: {signed}", signed),
        (f"POST {answer}: 409", answer.rpartition("/")[2]),
        (f"'crv_0123456789ab_{token}' is wrong", token),
        (f"https://bucket.s3.amazonaws.com/key?X-Amz-Signature={secret}&X-Amz-Date=1", secret),
        (f"GET /bucket/key?X-Amz-Date=1&X-Amz-Signature={secret} 403", secret),
        (f"{{'Authorization': 'Bearer {secret}', 'Host': 'x'}}", secret),
        (f"authorization: basic {secret}", secret),
        (f"connecting with host=db password={secret} user=x", secret),
        (f"connecting with host=db password='{secret} ' user=x", secret),
        (f'{{"aws_secret_access_key": "{secret}"}}', secret),
        (f"X-Carma-Authentication-Token: {secret}", secret),
        (f"AUTH PLAIN {secret}", secret),
        (f"cut off: password='{secret}", secret),
        (f"https://cdn.example.com/file?sig={secret}", secret),
        (f"key?X-Sig={secret}", secret),
    ]:
        assert kept not in Masker().text(text), text


@pytest.mark.parametrize(
    "text",
    [
        "The mail relay is away: Connection refused by mail.example.com:25. Its contacts wait, and are tried again.",
        'connection to server at "db" (10.0.0.1), port 5432 failed: FATAL: password authentication failed for user "x"',
        "read(batch=b_0123456789abcdef0123) is tried again in 2 s: OSError: [Errno 28] No space left on device",
        "No space left on device: '/data/uploads/b_0123456789abcdef0123-00ff00ff'",
        "The signature of this uploadUrl is wrong; use the URL exactly as it was given.",
        "smtp://relay:25 and postgresql://caravan@db:5432/caravan",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert Masker(["sesame-4711"]).text(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "token", "://", "://a:", "/uploads/", "sig=", "password='", 'secret="\\', "bearer ", "a.", "crv_0", "-", " "],
)
def test_a_long_text_takes_no_longer_than_its_length_allows(piece: str) -> None:
    """A response or a row that an error quotes may be long, and the event loop waits for its line."""
    text = "token " + piece * (100_000 // len(piece))
    before = time.process_time()
    Masker(["sesame-4711"]).text(text)
    assert time.process_time() - before < 2


@given(secret=_SECRET, name=st.sampled_from(["token", "smtp_password", "X-Amz-Signature", "Authorization"]))
def test_values_are_masked_at_any_depth_and_by_their_names(secret: str, name: str) -> None:
    masker = Masker([secret])
    found = masker.value({"a": [{"b": (f"<{secret}>",)}, Exception(secret)], name: 12345, secret: None})
    assert found == {"a": [{"b": [f"<{MASK}>"]}, MASK], name: MASK, MASK: None}
    assert [masker.value(each) for each in (7, 1.5, True, None)] == [7, 1.5, True, None]


@given(password=_SECRET)
def test_the_secrets_of_a_process_are_those_of_its_settings_and_its_environment(password: str) -> None:
    written = quote(password, safe="")
    settings = Settings(
        smtp_url=f"smtp://me:{written}@mail.example.com",
        database_url=f"postgresql://db/caravan?user=me&password={written}x",
        secret_key="first-key, second-key",
    )
    environment = {
        "AWS_SECRET_ACCESS_KEY": "aws-key",
        "HTTPS_PROXY": "http://me:proxy-password@p:1",
        "HOME": "/home/me",
    }
    found = set(secrets_in(settings.model_dump(), environment))
    assert {password, written, f"{password}x", "first-key", "second-key", "aws-key", "proxy-password"} <= found
    assert "/home/me" not in found
