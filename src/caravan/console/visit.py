"""One call of a page: which visitor, of which customer, with which role, and what the form said."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from caravan.access.audit import Actor, ActorKind
from caravan.access.management import Manager
from caravan.access.sessions import Visitor, visitor_of
from caravan.access.users import Role
from caravan.api.access import address_of
from caravan.api.calls import read_body
from caravan.console.rendering import render
from caravan.engine.engine import Engine
from caravan.errors import Forbidden, InvalidInput, NotFound, Unauthorized
from caravan.queries.preflights import Preflights
from caravan.queries.watch import Watches

if TYPE_CHECKING:
    from caravan.console.page import Page
    from caravan.console.shared import Shared

HOME, LOGIN, PASSWORD = "/console", "/console/login", "/console/password"
LIVE = "/live"  # behind the path of a page: its stream
_LARGEST_FORM = 64 << 10  # bytes
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Visit:
    """A call of a page."""

    request: Request
    engine: Engine
    visitor: Visitor | None

    @property
    def watches(self) -> Watches:
        """What feeds streams in this process."""
        watches: Watches = self.request.app.state.watches
        return watches

    @property
    def shared(self) -> "Shared":
        """Fragments of streams in this process that others get too."""
        shared: Shared = self.request.app.state.shared
        return shared

    @property
    def preflights(self) -> Preflights:
        """The preflights that this process computes, or has a moment ago."""
        preflights: Preflights = self.request.app.state.preflights
        return preflights

    @property
    def known(self) -> Visitor:
        """The visitor of a page that needs one. Raises `Unauthorized`."""
        if self.visitor is None:
            raise Unauthorized("Sign in to see this.")
        return self.visitor

    @property
    def customer(self) -> int:
        """The customer that the path names."""
        return int(self.request.path_params["customer"])

    @property
    def role(self) -> Role:
        """The visitor's role at the customer that the path names. Raises `NotFound` if there is none: that there is
        such a customer is told to its own users only."""
        role = self.known.roles.get(self.customer)
        if role is None:
            raise NotFound("There is no such page.")
        return role

    @property
    def may_edit(self) -> bool:
        """Whether the visitor may change something here."""
        return self.role.allows(Role.EDITOR)

    def operators_only(self) -> None:
        """Raise `NotFound` unless the visitor is an operator: others are told that there is no such page."""
        if not self.known.is_operator:
            raise NotFound("There is no such page.")

    @property
    def shown_customer(self) -> int | None:
        """The customer whose menu a page shows: the one of the path, or else the only one that the visitor has."""
        if "customer" in self.request.path_params:
            return self.customer
        if self.visitor is None or self.visitor.must_change_password or len(self.visitor.roles) != 1:
            return None
        return next(iter(self.visitor.roles))

    @property
    def batch(self) -> str:
        """The batch that the path names."""
        return str(self.request.path_params["batch"])

    @property
    def address(self) -> str:
        """Where the call comes from."""
        return address_of(self.request)

    @property
    def actor(self) -> Actor:
        """The visitor, acting on the customer that the path names, for the audit log."""
        customer = self.request.path_params.get("customer")
        return Actor(ActorKind.USER, self.known.email, customer, self.address)

    @property
    def may_own(self) -> bool:
        """Whether the visitor may manage users, tokens and settings here."""
        return self.role.allows(Role.OWNER)

    @property
    def manager(self) -> Manager:
        """The visitor as one that manages users and tokens: all if it is the operator, else its own customers'."""
        owned = frozenset(number for number, role in self.known.roles.items() if role is Role.OWNER)
        return Manager(self.actor, None if self.known.is_operator else owned)

    async def form(self, largest: int = _LARGEST_FORM) -> dict[str, str]:
        """The fields of the form that was posted, in at most so many bytes. Raises `InvalidInput` for what is no form,
        and `TooLarge`."""
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _FORM:
            raise InvalidInput(f"A form is posted as {_FORM}.")
        body = await read_body(self.request, largest)
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100))
        except ValueError:
            raise InvalidInput("The form can't be read.") from None

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The page, with what all pages show."""
        return Response(self.html(template, **values), status, media_type="text/html")

    def html(self, template: str, **values: Any) -> str:
        """A template with what all pages show."""
        menu = self.request.app.state.menu
        here = self.request.url.path
        shared = {"visitor": self.visitor, "customer": self.shown_customer, "menu": menu, "here": here}
        return render(template, **shared, is_sandbox=self.engine.settings.smtp_url is None, **values)


async def open_visit(request: Request) -> Visit:
    """The visit that a call is."""
    engine: Engine = request.app.state.engine
    token = request.cookies.get(cookie_name(engine))
    visitor = await visitor_of(engine, token, in_use=not is_stream(request))
    return Visit(request, engine, visitor)


def is_stream(request: Request) -> bool:
    """Whether a page asks by itself, with no person at it."""
    return request.url.path.endswith(LIVE)


def cookie_name(engine: Engine) -> str:
    """`__Host-…` where clients speak TLS: such a cookie is taken from this host over TLS only (RFC 6265bis §4.1.3)."""
    return "__Host-caravan" if is_tls(engine.settings.public_url) else "caravan"


def is_tls(public_url: str | None) -> bool:
    """Whether clients reach Caravan by TLS."""
    return public_url is not None and public_url.lower().startswith("https://")


def set_session(response: Response, engine: Engine, token: str) -> Response:
    """Give the browser its session. It is kept by the browser until it is closed, and ends earlier at the server."""
    secure = is_tls(engine.settings.public_url)
    response.set_cookie(cookie_name(engine), token, path="/", httponly=True, samesite="lax", secure=secure)
    return response


def drop_session(response: Response, engine: Engine) -> Response:
    """Take the session from the browser."""
    secure = is_tls(engine.settings.public_url)
    response.delete_cookie(cookie_name(engine), path="/", httponly=True, samesite="lax", secure=secure)
    return response


def needed(page: "Page", visit: Visit) -> Response | None:
    """Where the visitor has to go before this page can be served; None if it can be. Raises `NotFound` for a customer
    of others, `Forbidden` for a form that the role does not allow, and `Unauthorized` for a stream without a session.
    """
    if page.is_open:
        return None
    request = visit.request
    if visit.visitor is None:
        if is_stream(request):
            raise Unauthorized("Sign in to see this.")
        return see_other(login_address(request))
    if visit.visitor.must_change_password and not page.is_own:
        return see_other(PASSWORD)
    if "customer" in request.path_params:
        posted = request.method == "POST"
        if not visit.role.allows(page.submit_needs if posted else Role.VIEWER):
            raise Forbidden(f"Only an {page.submit_needs} may do this; you are {visit.role} here.")
    return None


def see_other(path: str) -> RedirectResponse:
    """On to another page, with GET (RFC 9110 §15.4.4)."""
    return RedirectResponse(path, 303)


def login_address(request: Request) -> str:
    """The page to sign in at, which leads back to the page of this call."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{LOGIN}?next={quote(path, safe='')}" if is_local(path) else LOGIN


def is_local(path: str) -> bool:
    """Whether a path that a visitor brought leads to a page of the console and nowhere else, whatever a browser makes
    of backslashes, dots and control characters in it (WHATWG URL §4.4)."""
    plain = unquote(path)
    parts = urlsplit(path)
    is_plain = plain.isascii() and plain.isprintable() and "\\" not in plain and "//" not in plain
    below = parts.path.startswith(HOME + "/") and not parts.scheme and not parts.netloc
    return is_plain and below and not {".", ".."} & set(unquote(parts.path).split("/"))
