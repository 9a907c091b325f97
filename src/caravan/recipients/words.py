"""What recipients read, in their own language. Names and addresses are filled in by the page, which escapes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of the page to unsubscribe at. `{customer}` and `{topic}` stand for names."""

    language: str  # BCP 47
    ask_topic: str
    ask_all: str
    for_address: str
    button_topic: str
    button_all: str
    button_everything: str
    once: str
    done: str
    done_topic: str
    done_all: str
    under_way: str
    undo: str
    undone: str
    undone_text: str
    already: str
    unknown: str
    unknown_text: str
    forgotten: str
    forgotten_text: str
    busy: str
    busy_text: str


ENGLISH: Final = Words(
    language="en",
    ask_topic="Unsubscribe from “{topic}”?",
    ask_all="Unsubscribe from {customer}?",
    for_address="This is about {address}.",
    button_topic="Unsubscribe",
    button_all="Unsubscribe",
    button_everything="Unsubscribe from everything by {customer}",
    once="Nothing has changed yet. One click, and we stop.",
    done="You are unsubscribed",
    done_topic="You get no more messages about “{topic}” from {customer}.",
    done_all="You get no more messages from {customer}, except those that you need, like a receipt.",
    under_way="A message that is on its way at this moment can still arrive.",
    undo="Undo",
    undone="You are subscribed again",
    undone_text="Everything is as it was before.",
    already="You are unsubscribed already",
    unknown="This link does not work",
    unknown_text="It may have been cut off on its way. Nothing has changed. Open the link in the message once more, "
    "or copy all of it. You can also answer the message.",
    forgotten="This message is too old",
    forgotten_text="{customer} has deleted whom it went to, as it does with old data, so this link can't change "
    "anything. Use the link in a newer message, or answer the message.",
    busy="One moment, please",
    busy_text="We could not do this just now, and nothing has changed. Please try again in a minute.",
)

SWEDISH: Final = Words(
    language="sv",
    ask_topic="Vill du avsluta ”{topic}”?",
    ask_all="Vill du avsluta utskicken från {customer}?",
    for_address="Det gäller {address}.",
    button_topic="Avsluta",
    button_all="Avsluta",
    button_everything="Avsluta alla utskick från {customer}",
    once="Ingenting har ändrats än. Ett klick, så slutar vi.",
    done="Du är avregistrerad",
    done_topic="Du får inga fler meddelanden om ”{topic}” från {customer}.",
    done_all="Du får inga fler meddelanden från {customer}, utom sådana som du behöver, till exempel ett kvitto.",
    under_way="Ett meddelande som redan är på väg kan ändå komma fram.",
    undo="Ångra",
    undone="Du är anmäld igen",
    undone_text="Allt är som förut.",
    already="Du är redan avregistrerad",
    unknown="Länken fungerar inte",
    unknown_text="Den kan ha blivit avklippt på vägen. Ingenting har ändrats. Öppna länken i meddelandet en gång till "
    "eller kopiera hela länken. Du kan också svara på meddelandet.",
    forgotten="Meddelandet är för gammalt",
    forgotten_text="{customer} har raderat uppgiften om vem som fick det, så länken kan inte ändra något längre. "
    "Använd länken i ett nyare meddelande eller svara på meddelandet.",
    busy="Ett ögonblick",
    busy_text="Det gick inte just nu, och ingenting har ändrats. Försök igen om en minut.",
)

GERMAN: Final = Words(
    language="de",
    ask_topic="„{topic}“ abbestellen?",
    ask_all="Nachrichten von {customer} abbestellen?",
    for_address="Es geht um {address}.",
    button_topic="Abbestellen",
    button_all="Abbestellen",
    button_everything="Alle Nachrichten von {customer} abbestellen",
    once="Bis jetzt hat sich nichts geändert. Ein Klick genügt.",
    done="Sie sind abgemeldet",
    done_topic="Sie bekommen von {customer} keine Nachrichten mehr zu „{topic}“.",
    done_all="Sie bekommen keine Nachrichten mehr von {customer}, außer solchen, die Sie brauchen, etwa einer "
    "Rechnung.",
    under_way="Eine Nachricht, die gerade unterwegs ist, kann noch ankommen.",
    undo="Rückgängig machen",
    undone="Sie sind wieder angemeldet",
    undone_text="Alles ist wie zuvor.",
    already="Sie sind schon abgemeldet",
    unknown="Dieser Link funktioniert nicht",
    unknown_text="Vielleicht wurde er unterwegs abgeschnitten. Es hat sich nichts geändert. Öffnen Sie den Link in der "
    "Nachricht noch einmal oder kopieren Sie ihn ganz. Sie können auch auf die Nachricht antworten.",
    forgotten="Diese Nachricht ist zu alt",
    forgotten_text="{customer} hat gelöscht, an wen sie ging, wie es mit alten Daten geschieht. Deshalb kann dieser "
    "Link nichts mehr ändern. Nutzen Sie den Link in einer neueren Nachricht oder antworten Sie auf die Nachricht.",
    busy="Einen Moment, bitte",
    busy_text="Das ging gerade nicht, und es hat sich nichts geändert. Bitte versuchen Sie es in einer Minute noch "
    "einmal.",
)

FRENCH: Final = Words(
    language="fr",
    ask_topic="Se désabonner de « {topic} » ?",
    ask_all="Se désabonner des messages de {customer} ?",
    for_address="Cela concerne {address}.",
    button_topic="Se désabonner",
    button_all="Se désabonner",
    button_everything="Se désabonner de tous les messages de {customer}",
    once="Rien n’a encore changé. Un seul clic suffit.",
    done="Vous êtes désabonné(e)",
    done_topic="Vous ne recevrez plus de messages de {customer} au sujet de « {topic} ».",
    done_all="Vous ne recevrez plus de messages de {customer}, sauf ceux qui vous sont nécessaires, comme un reçu.",
    under_way="Un message déjà parti peut encore arriver.",
    undo="Annuler",
    undone="Vous êtes de nouveau abonné(e)",
    undone_text="Tout est comme avant.",
    already="Vous êtes déjà désabonné(e)",
    unknown="Ce lien ne fonctionne pas",
    unknown_text="Il a peut-être été coupé en chemin. Rien n’a changé. Ouvrez encore une fois le lien du message, ou "
    "copiez-le en entier. Vous pouvez aussi répondre au message.",
    forgotten="Ce message est trop ancien",
    forgotten_text="{customer} a effacé le nom de son destinataire, comme pour toutes les données anciennes. Ce lien "
    "ne peut donc plus rien changer. Utilisez le lien d’un message plus récent, ou répondez au message.",
    busy="Un instant, s’il vous plaît",
    busy_text="Cela n’a pas été possible pour le moment, et rien n’a changé. Réessayez dans une minute.",
)

SPANISH: Final = Words(
    language="es",
    ask_topic="¿Darse de baja de «{topic}»?",
    ask_all="¿Darse de baja de los mensajes de {customer}?",
    for_address="Se trata de {address}.",
    button_topic="Darse de baja",
    button_all="Darse de baja",
    button_everything="Darse de baja de todos los mensajes de {customer}",
    once="Todavía no ha cambiado nada. Basta con un clic.",
    done="Se ha dado de baja",
    done_topic="No recibirá más mensajes de {customer} sobre «{topic}».",
    done_all="No recibirá más mensajes de {customer}, salvo los que necesita, como un recibo.",
    under_way="Un mensaje que ya está en camino todavía puede llegar.",
    undo="Deshacer",
    undone="Vuelve a estar suscrito",
    undone_text="Todo está como antes.",
    already="Ya se había dado de baja",
    unknown="Este enlace no funciona",
    unknown_text="Quizá se cortó por el camino. No ha cambiado nada. Abra otra vez el enlace del mensaje o cópielo "
    "entero. También puede responder al mensaje.",
    forgotten="Este mensaje es demasiado antiguo",
    forgotten_text="{customer} ha borrado a quién se envió, como hace con los datos antiguos, así que este enlace ya "
    "no puede cambiar nada. Use el enlace de un mensaje más reciente o responda al mensaje.",
    busy="Un momento, por favor",
    busy_text="Ahora mismo no ha sido posible, y no ha cambiado nada. Inténtelo de nuevo dentro de un minuto.",
)

LANGUAGES: Final = {each.language: each for each in (ENGLISH, SWEDISH, GERMAN, FRENCH, SPANISH)}
_RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([0-9.]{1,5})\s*)?")
_MOST_RANGES: Final = 20


def words_for(locale: str | None, accept_language: str) -> Words:
    """The words in the recipient's language: its `locale`, like sv-SE, else what its browser asks for (RFC 9110
    §12.5.4), else English."""
    wanted = [re.split(r"[-_.]", locale.strip().lower(), maxsplit=1)[0]] if locale else []
    wanted += [language for _, language in sorted(_ranges(accept_language), key=lambda each: -each[0])]
    return next((LANGUAGES[each] for each in wanted if each in LANGUAGES), ENGLISH)


def _ranges(accept_language: str) -> Iterator[tuple[float, str]]:
    for each in accept_language.split(",")[:_MOST_RANGES]:
        if found := _RANGE.fullmatch(each):
            try:
                weight = float(found[2] or 1)
            except ValueError:
                continue
            if weight > 0:
                yield weight, found[1].lower()
