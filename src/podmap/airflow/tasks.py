"""The tasks around the trials of a sweep: `plan`, `collect`, `cleanup`, and steps between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.links import ReportLink
from podmap.airflow.runtimes import (
    SweepGroup,
    dag_archive,
    dag_folder,
    is_template,
    why_no_folder,
)

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context


class PlanOperator(BaseOperator):
    """Reads the spec, makes the trials, and writes the run's manifest.

    Its XCom is what `trials` is mapped over; the XCom `run` says where the run is. The arguments
    are those of `sweep()`; `parsed` is what the runtime has read when the DAG file was parsed.
    """

    template_fields: Sequence[str] = ("experiments", "overrides")
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        spec: str | Mapping[str, Any],
        experiments: Any = None,
        overrides: Mapping[str, Any] | None = None,
        backend: str | None = None,
        conn_id: str | None = None,
        runtime: str = "pods",
        parsed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.experiments = experiments
        self.overrides = overrides
        self.template_fields = _fields_with_templates(self)
        self.backend = backend
        self.conn_id = conn_id
        self.runtime = runtime
        self.parsed = parsed
        self._found_later: tuple[str, ...] = ()
        self._expects_experiments = False

    def render_template_fields(
        self, context: Context, jinja_env: jinja2.Environment | None = None
    ) -> None:
        """Replaces templates, and keeps in mind which overrides had any."""
        given: Any = self.overrides
        if isinstance(given, Mapping):
            self._found_later = tuple(path for path, value in given.items() if is_template(value))
        elif given is not None:
            self._found_later = ("",)  # all of them
        self._expects_experiments = self.experiments is not None
        # The DAG may ask for Jinja's own way, which makes numbers of texts.
        self.render_template_as_native_obj = False
        super().render_template_fields(context, self.get_template_env())

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As Airflow does it, but a template that is one expression keeps its value's type."""
        from podmap.airflow.templates import render_text

        if isinstance(content, str) and is_template(content):
            from airflow.sdk.exceptions import AirflowFailException
            from jinja2 import TemplateError

            try:
                return render_text(content, context, jinja_env or self.get_template_env())
            except TemplateError as error:
                why = f"the template {content!r} cannot be filled in: {error}"
                raise AirflowFailException(why) from None
        return super().render_template(content, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> list[Any]:
        """Plans the run; called again after a clear, it keeps the run and plans it again."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.plan import plan_run
        from podmap.errors import PodmapError, UnreachableError

        group = SweepGroup(
            runtime=self.runtime,
            spec=self.spec,
            folder=dag_folder(self.dag),
            experiments=self.experiments,
            overrides=self.overrides or {},
            backend=self.backend,
            conn_id=self.conn_id,
            parsed=self.parsed,
            expects_experiments=self._expects_experiments,
            found_later=self._found_later,
        )
        group_id = self.task_id.rpartition(".")[0]
        try:
            xcoms, mapped_over = plan_run(group, context["dag_run"], group_id, log=self.log)
        except UnreachableError:
            raise  # the next try may reach it
        except PodmapError as error:
            # First and whole: what Airflow shows of an exception begins with its traceback.
            message = f"{error}{self._where_specs_are()}"
            self.log.error("%s", message)
            raise AirflowFailException(message) from None
        for key, value in xcoms.items():
            context["ti"].xcom_push(key=key, value=value)
        return mapped_over

    def _where_specs_are(self) -> str:
        missing = why_no_folder(self.spec, dag_folder(self.dag), local=False)
        if missing:
            return f"; {missing}"
        archive = dag_archive(self.dag)
        if archive is None or isinstance(self.spec, Mapping) or archive.name in self.spec:
            return ""
        if (archive.parent / self.spec).exists():
            return ""
        return (
            f"; the DAG file is in the archive {archive.name}, and specs are looked for in it, "
            "beside the DAG file, then beside the archive: put it there, or give sweep() a dict"
        )


def _fields_with_templates(plan: PlanOperator) -> list[str]:
    """The template fields that have templates.

    Airflow puts the others into the serialised DAG, too: up to 4 KB each, which come with the start
    of every trial in the triggerer.
    """
    return [name for name in PlanOperator.template_fields if is_template(getattr(plan, name))]


class WaypointOperator(BaseOperator):
    """A step between tasks that the scheduler takes by itself: no worker runs it."""

    ui_color = "#f8fafc"
    inherits_from_empty_operator = True

    def __init__(self, **kwargs: Any) -> None:
        # With callbacks, of default_args perhaps, a worker would have to run it.
        super().__init__(**{**kwargs, "on_execute_callback": None, "on_success_callback": None})

    def execute(self, context: Context) -> None:
        """Nothing."""


class CollectOperator(BaseOperator):
    """Makes the leaderboard and the report, and returns the best trial."""

    ui_color = "#fef9c3"
    operator_extra_links = (ReportLink(),)

    def __init__(
        self, *, plan_task_id: str, trial_callbacks: TrialCallbacks | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.trial_callbacks = trial_callbacks or TrialCallbacks()

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the summary; fails when more trials failed than were allowed."""
        from podmap.airflow.collect import collect_run

        return collect_run(
            context,
            self.plan_task_id,
            callbacks=self.trial_callbacks,
            outlets=self.outlets,
            log=self.log,
        )


class CleanupOperator(BaseOperator):
    """The group's teardown: ends and removes what is left of the run's attempts."""

    ui_color = "#f1f5f9"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        """Removes attempts that nobody waits for; fails if the DAG run was marked failed."""
        from podmap.airflow.collect import clean_run

        clean_run(context, self.plan_task_id, log=self.log)
