"""Spanish for the lines of a timeline: a sentence for each kind of event, made from the values that the service sends.

What is not in a sentence here is not in the English one either. Codes of the values have their words in `CODES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Said(Protocol):
    """The values of one sentence."""

    def __getitem__(self, name: str) -> object: ...
    def name(self, name: str) -> str: ...
    def day(self, name: str) -> str: ...
    def by(self, name: str) -> str: ...


CODES: Mapping[str, str] = {
    # who
    "member": "el miembro", "plan": "el plan", "provider": "el proveedor", "referrer": "quien refirió", "partner": "el socio",
    "operations": "operaciones", "pcp": "el médico de cabecera",
    # clocks
    "routine": "ordinario", "expedited": "urgente", "first_outreach": "el primer intento", "weekly_visit": "la visita semanal en persona",
    "outreach_window": "el plazo para localizar al miembro", "provider_answer": "la respuesta del proveedor a la oferta",
    "provider_told": "la aceptación de un proveedor, que así sabe a quién atender", "provider_change": "el cambio de proveedor que el miembro pidió",
    "first_outreach_at_risk": "el primer intento",
    # attempts
    "in_person": "en persona", "phone": "por teléfono", "text": "mensaje de texto", "email": "correo electrónico", "video": "video",
    "letter": "carta personal", "other_electronic": "otro medio electrónico", "reached": "se localizó al miembro",
    "call_back_agreed": "se acordó hablar después", "engaged": "aceptó ECM", "declined": "rechazó", "no_answer": "no contestó",
    "voicemail": "buzón de voz", "message_with_third_party": "recado con otra persona", "not_there": "no estaba en el lugar",
    "wrong_number": "número o dirección equivocados", "disconnected": "número desconectado", "busy": "ocupado",
    "undelivered": "volvió sin entregar", "not_reached": "no se localizó al miembro",
    # outcomes
    "services_received": "servicios recibidos", "provider_declined": "ningún proveedor", "unable_to_reach": "no se pudo localizar",
    "no_longer_eligible": "ya no es elegible", "declined_by_member": "el miembro no quiso", "withdrawn": "retirada",
    "already_in_ecm": "ya recibe ECM", "not_authorized": "no autorizada", "merged": "unida a otra", "other": "otro motivo",
    # how somebody was told
    "mailbox": "el buzón", "webhook": "su sistema", "call": "una llamada", "mail": "correo postal", "fax": "fax",
    "via_caregiver": "la persona que lo cuida", "asked": "el miembro lo preguntó",
    # what was taken back, and why
    "attempted": "el intento", "services_started": "el inicio de los servicios", "member_declined": "el rechazo del miembro",
    "service_ended": "el fin de los servicios", "initiated": "el inicio de la búsqueda", "did_not_happen": "no ocurrió",
    "another_member": "era otro miembro", "another_day": "era otro día", "recorded_twice": "estaba dos veces",
    "another_outcome": "el resultado fue otro",
    # offers and the plan's questions
    "needs_beyond_scope": "necesita más de lo que ofrece", "safety": "seguridad", "member_prefers_another": "el miembro prefiere a otro",
    "outside_area": "fuera de su zona",
    "no_capacity": "no tiene cupo", "out_of_area": "fuera de su zona", "language": "no habla el idioma", "not_accepting": "no acepta a nadie ahora",
    "conflict_of_interest": "conflicto de interés", "other_reason": "otro motivo", "no_reason": "sin motivo", "accepted": "aceptada",
    "no_answer_in_time": "no respondió a tiempo", "none_left": "ya no queda a quién ofrecerla", "conflicted": "dos asignaciones a la vez",
    "member_already_assigned": "el miembro ya tiene proveedor", "coverage_ended": "la cobertura terminó",
    "change_requested": "el miembro pide otro proveedor", "provider_left": "el proveedor se fue", "member_wish": "el miembro lo desea",
    "by_hand": "elegido por una persona del plan", "plan_ended": "lo terminó el plan", "provider_ended": "lo terminó el proveedor",
    "authorization_ended": "la autorización terminó", "start_without_form": "terminó el permiso y no llegó el formulario",
    "start_open": "falta el primer día", "death_told": "se avisó de una muerte", "closed": "cerrada", "assigned": "asignada",
    "authorized": "autorizada", "denied": "denegada", "pended": "se pidió algo", "offer": "una oferta", "received": "recibida",
    "overturned": "denegación anulada", "extended": "prórroga", "ended": "terminada", "presumptive_ended": "fin del permiso",
    "lead_changed": "otro encargado", "help": "ayuda", "closed_self": "cerrada",
    "reported_provider_declined": "el proveedor informa que no puede atender",
    "reported_no_longer_eligible": "el proveedor informa que ya no es elegible",
    "reported_unable_to_reach": "el proveedor informa que no lo localizó", "reported_other": "el proveedor informa otro motivo",
    # grants
    "expired": "venció", "decided": "se decidió", "revoked": "lo terminó una persona del plan", "other_provider": "lo atiende otro proveedor",
    "not_in_network": "no está en la red del plan", "criteria_not_met": "no se cumplen los criterios", "renewal": "es una renovación",
    "within_interval": "hubo otro hace poco",
    # coverage
    "confirmed": "confirmada", "unknown": "no se sabe", "not_found": "no está en el registro", "begins_later": "empieza después",
    "left": "salió del plan", "other_birth_date": "otra fecha de nacimiento en el registro",
    "done": "hecho",
}  # fmt: skip

SUPPORTS = {
    "asked": "el encargado principal lo pidió",
    "accepted": "aceptado",
    "declined": "rechazado",
    "done": "hecho",
}


def _code(said: Said, name: str) -> str:
    code = str(said[name] or "")
    return CODES.get(code, code.replace("_", " ").replace("-", " "))


def _to(said: Said) -> str:
    """To whom, with the article that Spanish joins to it."""
    return f"a {_code(said, 'recipient_kind')}".replace("a el ", "al ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _late(said: Said, what: str) -> str:
    """What is due and is not here, or was and is not."""
    if said["state"] == "at_risk":
        return f"{_capital(what)} vence{said.by('due_at')} y todavía falta."
    return f"{_capital(what)} venció{said.by('due_at')} y falta."


def _asked(said: Said) -> str:
    count = said["questions"] or 0
    if said["reminder"]:
        return f"Recordatorio {said['reminder']}: {count} preguntas están abiertas; se esperan las respuestas{said.by('due_at')}."
    many = "Se hizo 1 pregunta" if count == 1 else f"Se hicieron {count} preguntas"
    return f"{many} sobre la referencia; nada espera por las respuestas, salvo que se indique."


def _amended(said: Said) -> str:
    match said["cause"]:
        case "joined":
            return "Llegó otra referencia de este miembro y se unió a este ciclo; a quien la envió se le avisa desde ahora."
        case "split":
            return "Una referencia unida por error sigue por su cuenta; a quien la envió ya no se le avisa."
        case "release_date":
            day = said.day("release_on")
            return f"Se registró el día de salida{f': {day}' if day else ''}."
        case "roster":
            return "El registro del plan dice ahora otra cosa sobre la cobertura del miembro."
        case cause:
            what = "Se respondieron preguntas sobre la referencia" if cause == "answered" else "Se corrigió"
            left = said["questions"]
            open_now = "" if left is None else f"; quedan {left or 0} abiertas"
            return f"{what}{open_now}."


def _attempted(said: Said) -> str:
    answer = "se localizó al miembro" if said["reached"] else _code(said, "outcome")
    return f"Intento {said['number']} ({_code(said, 'modality')}): {answer}."


def _approved(said: Said) -> str:
    rule = "una regla del estado" if said["must"] else "una regla que el plan activó"
    who = rule if said["by"] == "rule" else "una persona del plan, con nombre"
    part = " Parte de lo pedido no se aprobó." if said["modified"] else ""
    return f"Autorizada por {who} del {said.day('from')} al {said.day('through')}, número {said['number']}.{part}"


def _made(said: Said) -> str:
    start = said.day("starts_on")
    skipped = said["skipped"]
    return (
        f"Se ofreció a {said.name('provider')}; se espera la respuesta{said.by('answer_due_at')}."
        + (f" Desde el {start}." if start else "")
        + (f" Se pasó por alto a otros {skipped}, cada uno con su motivo." if skipped else "")
    )


def _appealed(said: Said) -> str:
    held = (
        "a tiempo, así que sigue hasta que se resuelva"
        if said["continues"]
        else "tarde para que siga mientras tanto"
    )
    return (
        f"El miembro apeló el {said.day('on')} contra el fin de la autorización, {held}{said.by('due_at')}."
    )


def _plan_asked(said: Said) -> str:
    match said["reason"]:
        case "change_requested":
            return f"El miembro pidió otro proveedor; se pidió al plan que lo resuelva{said.by('due_at')}."
        case "provider_left":
            return f"El proveedor se fue, o su contrato terminó; se pidió otro al plan{said.by('due_at')}."
        case _:
            return f"Se pidió al plan que decida: {_code(said, 'reason')}{said.by('due_at')}."


def _closed(said: Said) -> str:
    text = f" ({said['text']})" if said["text"] else ""
    return f"El ciclo se cerró: {_code(said, 'outcome')}{text}."


def _taken_back(said: Said) -> str:
    number = f" {said['number']}" if said["number"] is not None else ""
    return f"Se retiró un registro, {_code(said, 'what')}{number}: {_code(said, 'because')}."


def _lost(said: Said) -> str:
    day = said.day("on")
    last = f" el {day}" if day else ""
    return (
        f"La cobertura del miembro terminó{last}; una persona del plan juzga el período{said.by('due_at')}."
    )


def _reminded(said: Said) -> str:
    what = "la referencia formal" if said["missing"] == "referral" else "la decisión del plan"
    return f"El permiso provisional termina el {said.day('through')}; todavía falta {what}."


def _returned(said: Said) -> str:
    asks = f"; se juzga si el fin del período se mantiene{said.by('due_at')}" if said["due_at"] else ""
    return f"El miembro tiene cobertura otra vez{asks}."


def _overdue_decision(said: Said) -> str:
    if said["state"] == "at_risk":
        return f"La decisión del plan vence{said.by('due_at')} y todavía no se toma."
    return f"La decisión del plan venció{said.by('due_at')} y no se ha tomado."


def _denied(said: Said) -> str:
    return f"No autorizada: el aviso del plan da el motivo. Se puede apelar hasta el {said.day('appeal_by')}."


SPANISH: Mapping[str, Callable[[Said], str]] = {
    "referral.received": lambda s: f"{s.name('referrer')} refirió a un miembro a {s.name('plan')}.",
    "referral.set_aside": lambda s: (
        f"{s.name('referrer')} refirió a un miembro a {s.name('plan')}; se une a un ciclo abierto."
    ),
    "referral.questions_asked": _asked,
    "referral.amended": _amended,
    "referral.overdue": lambda s: _late(s, "la respuesta a las preguntas"),
    "referral.plan_asked": lambda s: (
        f"Se preguntó al plan cómo sigue el ciclo: {_code(s, 'reason')}{s.by('due_at')}."
    ),
    "referral.support_moved": lambda s: (
        f"Apoyos Comunitarios, {_code(s, 'code')}: {SUPPORTS.get(str(s['status']), str(s['status']))}."
    ),
    "referral.death_told": lambda s: (
        f"Avisó {_code(s, 'by')} que el miembro murió: nadie lo contacta; el plan lo confirma{s.by('due_at')}."
    ),
    "referral.death_confirmed": lambda _s: "Una persona del plan confirmó que el miembro murió.",
    "referral.death_taken_back": lambda _s: "Una persona del plan retiró el aviso de la muerte del miembro.",
    "referral.back_in_custody": lambda s: (
        f"El miembro está otra vez bajo custodia desde el {s.day('on')}; el plan dice cómo sigue{s.by('due_at')}."
    ),
    "referral.closed": _closed,
    "authorization.review_opened": lambda s: (
        f"Se abrió la revisión del plan con plazo {_code(s, 'clock')}; se espera la decisión{s.by('due_at')}."
    ),
    "authorization.presumptive_granted": lambda s: (
        f"{s.name('provider')} puede atender desde el primer servicio hasta el {s.day('through')}, mientras el plan decide "
        "(autorización presuntiva, desde 2026 llamada simplificada)."
    ),
    "authorization.presumptive_refused": lambda s: f"Sin permiso presuntivo: {_code(s, 'reason')}.",
    "authorization.presumptive_ended": lambda s: (
        f"El permiso presuntivo terminó el {s.day('through')}: {_code(s, 'reason')}."
    ),
    "authorization.presumptive_reminded": _reminded,
    "authorization.pended": lambda s: (
        f"Una persona del plan pidió algo que falta en el formulario; la decisión lo espera{s.by('by')}."
    ),
    "authorization.resumed": lambda s: f"El plazo de la decisión corre otra vez; se espera{s.by('due_at')}.",
    "authorization.expedited": lambda s: (
        f"La referencia pasó a ser urgente; se espera la decisión{s.by('due_at')}."
    ),
    "authorization.overdue": _overdue_decision,
    "authorization.deemed_adverse": lambda s: (
        "El plan no decidió en el tiempo que da la ley, lo que por ley cuenta como no autorizada. Se puede apelar hasta el "
        f"{s.day('appeal_by')}; el plan todavía puede decidir."
    ),
    "authorization.overturned": lambda s: (
        f"La denegación se anuló el {s.day('on')}; sigue una referencia autorizada."
    ),
    "authorization.reauthorization_due": lambda s: (
        f"La autorización termina el {s.day('through')}; hasta entonces quien atiende puede pedir otro período."
    ),
    "authorization.reauthorization_requested": lambda s: (
        f"{s.name('provider')} pidió otro período. La autorización, hasta el {s.day('through')}, sigue hasta que el plan decida."
    ),
    "authorization.extended": lambda s: (
        f"La autorización va del {s.day('from')} al {s.day('through')}, número {s['number']}."
    ),
    "authorization.ended": lambda s: f"La autorización termina el {s.day('on')}.",
    "authorization.coverage_lost": _lost,
    "authorization.coverage_returned": _returned,
    "authorization.ending_confirmed": lambda _s: (
        "Una persona del plan juzgó que el fin del período se mantiene."
    ),
    "authorization.appealed": _appealed,
    "authorization.appeal_resolved": lambda s: (
        "Se resolvió la apelación contra el fin de la autorización: "
        f"{'termina de todos modos' if s['upheld'] else 'no termina'}."
    ),
    "authorization.approved": _approved,
    "authorization.denied": _denied,
    "assignment.made": _made,
    "assignment.accepted": lambda s: (
        f"{s.name('provider')} aceptó y nombró al encargado principal del cuidado."
    ),
    "assignment.declined": lambda s: (
        f"{s.name('provider') or 'El proveedor'} no aceptó: {_code(s, 'reason')}."
    ),
    "assignment.answer_refused": lambda s: (
        f"El archivo de un proveedor dijo {_code(s, 'answer')}, que ya no puede ser: {_code(s, 'reason')}."
    ),
    "assignment.withdrawn": lambda s: (
        f"Se retiró la oferta a {s.name('provider') or 'el proveedor'}: {_code(s, 'reason')}."
    ),
    "assignment.plan_asked": _plan_asked,
    "assignment.question_taken_back": lambda _s: (
        "El proveedor vuelve a tener contrato; el plan no tiene que buscar otro."
    ),
    "assignment.ended": lambda s: (
        f"La asignación a {s.name('provider')} terminó el {s.day('on')}: {_code(s, 'reason')}."
    ),
    "assignment.lead_changed": lambda s: f"{s.name('provider')} nombró a otro encargado principal.",
    "assignment.started": lambda s: f"La asignación prevista a {s.name('provider')} empezó el {s.day('on')}.",
    "assignment.overdue": lambda s: _late(s, _code(s, "clock")),
    "provider.recorded": lambda s: f"Se registró la entrada de {s.name('provider')}, versión {s['version']}.",
    "outreach.attempted": _attempted,
    "outreach.answered": lambda s: f"{s.name('provider')} informó el {s.day('on')}: {_code(s, 'answer')}.",
    "outreach.initiated": lambda s: f"El proveedor informó que empezó a buscar al miembro el {s.day('on')}.",
    "outreach.closing_reported": lambda s: (
        f"El proveedor informó el {s.day('on')}: {_code(s, 'reason')}; decide una persona del plan."
    ),
    "outreach.month_counted": lambda s: f"El proveedor contó los encuentros de {s['month']}.",
    "outreach.services_started": lambda s: f"Los servicios empezaron el {s.day('on')}.",
    "outreach.member_declined": lambda s: f"El miembro no quiso, el {s.day('on')} ({_code(s, 'how')}).",
    "outreach.unable_to_reach": lambda s: (
        f"No se pudo localizar al miembro hasta el {s.day('on')}, tras {s['attempts']} intentos."
    ),
    "outreach.service_ended": lambda s: (
        f"El proveedor terminó sus servicios el {s.day('on')}; el plan decide sobre el período."
    ),
    "outreach.contact_changed": lambda _s: "Se corrigió cómo se localiza al miembro.",
    "outreach.taken_back": _taken_back,
    "outreach.overdue": lambda s: _late(s, _code(s, "clock")),
    "notice.delivered": lambda s: f"Se avisó {_to(s)} ({_code(s, 'code')}) por {_code(s, 'how')}.",
    "notice.taken_back": lambda s: (
        f"Se retiró el registro de que se avisó {_to(s)} ({_code(s, 'code')}): {_code(s, 'because')}."
    ),
    "notice.overdue": lambda s: (
        f"Había que avisar {_to(s)} ({_code(s, 'code')}){s.by('due_at')} y no se hizo; el plan debe ocuparse."
    ),
}
