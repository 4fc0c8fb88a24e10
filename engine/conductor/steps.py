"""What each step of a run does. A step reads the run, works, and returns its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from engine.conductor.driving import Blob, KeepBlob, Kept, ReadBlob, RunDocument
from engine.conductor.workshop import Progress, Workshop
from engine.forge.blueprint.source import load_data
from engine.forge.versions import BlueprintView, GetBlueprint
from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import Dispatcher, answer_as
from engine.kernel.errors import StepFailed


@dataclass(frozen=True, slots=True)
class StepContext:
    """Everything a step may use."""

    tenant: str
    state: RunDocument
    caller: Caller
    dispatcher: Dispatcher
    workshop: Workshop
    progress: Progress

    @property
    def platform(self) -> str:
        return self.state.run.platform

    async def keep(self, content: bytes) -> str:
        call = Call(KeepBlob(content=content), self.caller, self.tenant, trace=self.state.run.trace)
        return answer_as(Kept, await self.dispatcher.execute(call)).digest

    async def fetch(self, digest: str) -> bytes:
        asked = await self.dispatcher.ask(ReadBlob(digest=digest), self.caller, self.tenant)
        return answer_as(Blob, asked).content

    async def blueprint(self, version: int | None = None) -> BlueprintView:
        query = GetBlueprint(platform=self.platform, version=version)
        return answer_as(BlueprintView, await self.dispatcher.ask(query, self.caller, self.tenant))

    @property
    def generated(self) -> str | None:
        """The digest of the bundle that this run has made; with its pages once they are built."""
        run = self.state.run
        built = run.output("prepare").get("bundle")
        return built or run.output("generate").get("bundle")

    async def bundle(self) -> bytes:
        """The code that this run is about: freshly generated, or that of an earlier release."""
        if self.generated:
            return await self.fetch(self.generated)
        wished = self.state.run.input["version"]
        release = next(each for each in self.state.releases if each.version == wished)
        return await self.fetch(release.bundle)


async def describe(context: StepContext) -> dict[str, Any]:
    description = context.state.run.input["description"]
    described = await context.workshop.describe(context.platform, description, context.progress)
    return described.model_dump(mode="json")


async def plan(context: StepContext) -> dict[str, Any]:
    saved = await context.blueprint()
    blueprint = load_data(saved.content)
    return {
        "blueprint_version": saved.version,
        "digest": saved.digest,
        "entities": len(blueprint.entities),
        "roles": len(blueprint.roles) + 1,
        "version": context.state.next_version,
    }


async def generate(context: StepContext) -> dict[str, Any]:
    planned = context.state.run.output("plan")
    saved = await context.blueprint(planned["blueprint_version"])
    history = [
        (await context.blueprint(version)).content
        for version in context.state.launched
        if version != saved.version
    ]
    packed = await context.workshop.generate(
        context.platform, saved.content, history, context.progress
    )
    return {"bundle": await context.keep(packed), "bytes": len(packed)}


async def prepare(context: StepContext) -> dict[str, Any]:
    prepared = await context.workshop.prepare(await context.bundle())
    output = prepared.model_dump(mode="json", exclude={"bundle"})
    if prepared.bundle is None:
        return output
    return {**output, "bundle": await context.keep(prepared.bundle), "pages": True}


async def test(context: StepContext) -> dict[str, Any]:
    report = await context.workshop.test(context.platform, await context.bundle(), context.progress)
    summary = report.model_dump(mode="json", exclude={"log"})
    if report.failed or not report.passed:
        raise StepFailed(
            f"{report.failed} of {report.passed + report.failed} tests of the generated platform"
            " failed.",
            mend="See the run's log for each failure.",
            log=report.log,
            **summary,
        )
    return {**summary, "log": await context.keep(report.log.encode())}


async def release(context: StepContext) -> dict[str, Any]:
    run = context.state.run
    if context.generated:
        planned = run.output("plan")
        version, digest = int(planned["version"]), context.generated
        blueprint_version = int(planned["blueprint_version"])
    else:
        version = int(run.input["version"])
        earlier = next(each for each in context.state.releases if each.version == version)
        digest, blueprint_version = earlier.bundle, earlier.blueprint_version
    launched = await context.workshop.launch(
        context.tenant, context.platform, version, await context.fetch(digest)
    )
    return {
        "version": version,
        "blueprint_version": blueprint_version,
        "bundle": digest,
        "address": launched.address,
        "node": launched.node,
    }


async def retire(context: StepContext) -> dict[str, Any]:
    keep = int(context.state.run.output("release")["version"])
    await context.workshop.retire(context.tenant, context.platform, keep)
    return {}


Step = Callable[[StepContext], Awaitable[dict[str, Any]]]

STEP_FUNCTIONS: dict[str, Step] = {
    "describe": describe,
    "plan": plan,
    "generate": generate,
    "prepare": prepare,
    "test": test,
    "release": release,
    "retire": retire,
}
