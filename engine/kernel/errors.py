"""One tree of errors for every layer.

Each error has a stable `code`, the HTTP `status` it becomes, a `detail` written for the person who
made the call, and public `fields`. Nothing else of it ever leaves the process, so `detail` and
`fields` must never hold a path, a pid, SQL, a secret or a stack trace.

Every error survives pickling, which Ray does with each exception that crosses a process.
"""

from __future__ import annotations

from typing import Any, ClassVar


class WebNovaError(Exception):
    """Root of the tree. Subclasses set `code`, `status` and `title`; callers pass the detail.

    `fields` must be JSON values. `mend` says how the reader can put it right.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str = "", *, mend: str | None = None, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail or self.title
        self.mend = mend
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detail, self.mend, self.fields)

    def __str__(self) -> str:
        return f"{self.detail} {self.mend}" if self.mend else self.detail

    def problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem object (without `instance`)."""
        body: dict[str, Any] = {
            "type": f"urn:webnova:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.mend:
            body["mend"] = self.mend
        return {**self.fields, **body}


def _rebuild(
    cls: type[WebNovaError], detail: str, mend: str | None, fields: dict[str, Any]
) -> WebNovaError:
    return cls(detail, mend=mend, **fields)


class InvalidInput(WebNovaError):
    """The request is well-formed but its content can't be accepted. `errors` may list places."""

    code, status, title = "invalid_input", 422, "The input is not valid"


class NotUnderstood(InvalidInput):
    """A description from which no platform can be derived."""

    code, title = "description_not_understood", "The description was not understood"


class CurrencyMismatch(InvalidInput):
    """Amounts of different currencies were to be added, subtracted or compared."""

    code, title = "currency_mismatch", "Different currencies"


class TooLarge(WebNovaError):
    code, status, title = "too_large", 413, "The input is too large"


class Unauthenticated(WebNovaError):
    code, status, title = "unauthenticated", 401, "Authentication is required"


class Forbidden(WebNovaError):
    code, status, title = "forbidden", 403, "Not allowed"


class TenantSuspended(Forbidden):
    """The caller's tenant is at rest. `since` says from when on."""

    code, title = "tenant_suspended", "The tenant is suspended"


class NotFound(WebNovaError):
    code, status, title = "not_found", 404, "Not found"


class TenantDeleted(NotFound):
    """The tenant was deleted for ever; something of it may be left for a few minutes."""

    code, title = "tenant_deleted", "The tenant was deleted"


class Conflict(WebNovaError):
    """The state of the thing does not allow this now."""

    code, status, title = "conflict", 409, "Conflict"


class VersionConflict(Conflict):
    """Somebody else changed the stream between reading and writing; read again and retry."""

    code, title = "version_conflict", "Changed by someone else in the meantime"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before with another command."""

    code, title = "idempotency_conflict", "Idempotency key used for another command"


class SubjectErased(Conflict):
    """New personal data of somebody whose key was destroyed."""

    code, title = "subject_erased", "The personal data was erased"


class BudgetExceeded(Conflict):
    """A budget has less left than was to be reserved. Waiting does not help, so it is no 429."""

    code, title = "budget_exceeded", "Not enough budget"


class PreconditionFailed(WebNovaError):
    code, status, title = "precondition_failed", 412, "Precondition failed"


class PreconditionRequired(WebNovaError):
    code, status, title = "precondition_required", 428, "Precondition required"


class QuotaExceeded(WebNovaError):
    """A tenant's limit is reached. `retry_after` (seconds) may say when to come back."""

    code, status, title = "quota_exceeded", 429, "Limit reached"


class Unavailable(WebNovaError):
    """A part that is needed isn't there now. `mend` says what to do."""

    code, status, title = "unavailable", 503, "Not available now"


class UnknownEvent(WebNovaError):
    """A stored event of a type or version that this installation has no description of."""

    code, status, title = "unknown_event", 500, "Unknown event"


class LeaseLost(WebNovaError):
    """The caller no longer owns the run: its fencing token is older than the current one."""

    code, status, title = "lease_lost", 409, "The run is owned by another worker"


class StepFailed(WebNovaError):
    """A step of a run failed for a reason of its own; trying again would fail the same way."""

    code, status, title = "step_failed", 422, "A step of the run failed"


def error_types() -> list[type[WebNovaError]]:
    """Every class of the tree, the root first."""
    found: list[type[WebNovaError]] = [WebNovaError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found
