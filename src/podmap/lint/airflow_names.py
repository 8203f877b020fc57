"""Where Airflow's names were and are: what Airflow 3.3 moved, and what it no longer has.

A test imports every one of them, so that the tables cannot say more than is true.
"""

from __future__ import annotations

from collections.abc import Mapping

_MOVED: tuple[tuple[str, str, str], ...] = (
    ("airflow", "airflow.sdk.exceptions", "AirflowException"),
    ("airflow", "airflow.sdk", "Dataset=Asset"),
    ("airflow.decorators", "airflow.sdk", "dag setup task task_group teardown"),
    (
        "airflow.exceptions",
        "airflow.sdk.exceptions",
        "AirflowDagCycleException AirflowFailException "
        "AirflowInactiveAssetInInletOrOutletException AirflowSensorTimeout "
        "AirflowSkipException AirflowTaskTerminated AirflowTaskTimeout "
        "DagRunTriggerException DownstreamTasksSkipped DuplicateTaskIdFound "
        "FailFastDagInvalidTriggerRule TaskAlreadyInTaskGroup "
        "TaskDeferralError TaskDeferralTimeout TaskDeferred XComNotFound",
    ),
    ("airflow.hooks.base", "airflow.sdk", "BaseHook"),
    ("airflow.hooks.filesystem", "airflow.providers.standard.hooks.filesystem", "FSHook"),
    (
        "airflow.hooks.package_index",
        "airflow.providers.standard.hooks.package_index",
        "PackageIndexHook",
    ),
    ("airflow.hooks.subprocess", "airflow.providers.standard.hooks.subprocess", "SubprocessHook"),
    ("airflow.io", "airflow.sdk.io", "Properties attach get_fs has_fs"),
    ("airflow.io.path", "airflow.sdk", "ObjectStoragePath"),
    ("airflow.io.storage", "airflow.sdk.io", "attach"),
    ("airflow.io.typedef", "airflow.sdk.io.typedef", "Properties"),
    ("airflow.macros", "airflow.sdk.execution_time.macros", "*"),
    (
        "airflow.models.baseoperator",
        "airflow.sdk",
        "BaseOperator chain chain_linear cross_downstream",
    ),
    ("airflow.models.baseoperatorlink", "airflow.sdk", "BaseOperatorLink"),
    ("airflow.models.dag", "airflow.sdk", "DAG"),
    ("airflow.models.dagbag", "airflow.dag_processing.dagbag", "DagBag"),
    ("airflow.models.param", "airflow.sdk", "Param ParamsDict"),
    ("airflow.models.skipmixin", "airflow.sdk", "SkipMixin"),
    ("airflow.models.xcom", "airflow.sdk.execution_time.xcom", "XCom"),
    ("airflow.models.xcom_arg", "airflow.sdk", "XComArg"),
    ("airflow.notifications.basenotifier", "airflow.sdk", "BaseNotifier"),
    ("airflow.operators.bash", "airflow.providers.standard.operators.bash", "BashOperator"),
    ("airflow.operators.branch", "airflow.sdk", "BaseBranchOperator BranchMixIn"),
    (
        "airflow.operators.datetime",
        "airflow.providers.standard.operators.datetime",
        "BranchDateTimeOperator",
    ),
    ("airflow.operators.email", "airflow.providers.smtp.operators.smtp", "EmailOperator"),
    ("airflow.operators.empty", "airflow.providers.standard.operators.empty", "EmptyOperator"),
    (
        "airflow.operators.generic_transfer",
        "airflow.providers.common.sql.operators.generic_transfer",
        "GenericTransfer",
    ),
    (
        "airflow.operators.latest_only",
        "airflow.providers.standard.operators.latest_only",
        "LatestOnlyOperator",
    ),
    (
        "airflow.operators.python",
        "airflow.providers.standard.operators.python",
        "BranchExternalPythonOperator BranchPythonOperator BranchPythonVirtualenvOperator "
        "ExternalPythonOperator PythonOperator PythonVirtualenvOperator "
        "ShortCircuitOperator",
    ),
    ("airflow.operators.python", "airflow.sdk", "get_current_context"),
    ("airflow.operators.smooth", "airflow.providers.standard.operators.smooth", "SmoothOperator"),
    (
        "airflow.operators.trigger_dagrun",
        "airflow.providers.standard.operators.trigger_dagrun",
        "TriggerDagRunOperator",
    ),
    (
        "airflow.operators.weekday",
        "airflow.providers.standard.operators.weekday",
        "BranchDayOfWeekOperator",
    ),
    ("airflow.sensors.base", "airflow.sdk", "BaseSensorOperator PokeReturnValue"),
    ("airflow.sensors.base", "airflow.sdk.bases.sensor", "poke_mode_only"),
    ("airflow.sensors.bash", "airflow.providers.standard.sensors.bash", "BashSensor"),
    (
        "airflow.sensors.date_time",
        "airflow.providers.standard.sensors.date_time",
        "DateTimeSensor DateTimeSensorAsync",
    ),
    (
        "airflow.sensors.external_task",
        "airflow.providers.standard.sensors.external_task",
        "ExternalDagLink ExternalTaskMarker ExternalTaskSensor",
    ),
    ("airflow.sensors.filesystem", "airflow.providers.standard.sensors.filesystem", "FileSensor"),
    ("airflow.sensors.python", "airflow.providers.standard.sensors.python", "PythonSensor"),
    (
        "airflow.sensors.time_delta",
        "airflow.providers.standard.sensors.time_delta",
        "TimeDeltaSensor TimeDeltaSensorAsync",
    ),
    (
        "airflow.sensors.time_sensor",
        "airflow.providers.standard.sensors.time",
        "TimeSensor TimeSensorAsync",
    ),
    ("airflow.sensors.weekday", "airflow.providers.standard.sensors.weekday", "DayOfWeekSensor"),
    ("airflow.stats", "airflow.sdk.observability", "Stats=stats"),
    (
        "airflow.triggers.external_task",
        "airflow.providers.standard.triggers.external_task",
        "DagStateTrigger WorkflowTrigger",
    ),
    ("airflow.triggers.file", "airflow.providers.standard.triggers.file", "FileTrigger"),
    (
        "airflow.triggers.temporal",
        "airflow.providers.standard.triggers.temporal",
        "DateTimeTrigger TimeDeltaTrigger",
    ),
    ("airflow.utils.context", "airflow.sdk", "Context"),
    (
        "airflow.utils.context",
        "airflow.sdk.definitions.context",
        "KNOWN_CONTEXT_KEYS context_merge",
    ),
    (
        "airflow.utils.operator_helpers",
        "airflow.sdk.bases.decorator",
        "KeywordParameters determine_kwargs",
    ),
    ("airflow.utils.operator_resources", "airflow.sdk.definitions.operator_resources", "*"),
    ("airflow.utils.task_group", "airflow.sdk", "TaskGroup"),
    ("airflow.utils.timeout", "airflow.sdk.execution_time.timeout", "timeout"),
    ("airflow.utils.timezone", "airflow.sdk.timezone", "*"),
    ("airflow.utils.trigger_rule", "airflow.sdk", "TriggerRule"),
    (
        "airflow.utils.weight_rule",
        "airflow.sdk.bases.operator",
        "DB_SAFE_MAXIMUM DB_SAFE_MINIMUM db_safe_priority",
    ),
    ("airflow.utils.weight_rule", "airflow.sdk", "WeightRule"),
    ("airflow.utils.xcom", "airflow.models.xcom", "XCOM_RETURN_KEY"),
)
"""Old module, new module, names that still work with a warning (`*` any, `a=b` renamed)."""

GONE: Mapping[str, str] = {
    "airflow.conf": "airflow.configuration.conf",
    "airflow.contrib.operators.kubernetes_pod_operator.KubernetesPodOperator": (
        "airflow.providers.cncf.kubernetes.operators.pod.KubernetesPodOperator"
    ),
    "airflow.datasets.Dataset": "airflow.sdk.Asset",
    "airflow.datasets.DatasetAlias": "airflow.sdk.AssetAlias",
    "airflow.hooks.base_hook.BaseHook": "airflow.sdk.BaseHook",
    "airflow.hooks.dbapi.DbApiHook": "airflow.providers.common.sql.hooks.sql.DbApiHook",
    "airflow.hooks.dbapi_hook.DbApiHook": "airflow.providers.common.sql.hooks.sql.DbApiHook",
    "airflow.jobs.base_job.BaseJob": "airflow.jobs.job.Job",
    "airflow.kubernetes.pod_generator.PodGenerator": (
        "airflow.providers.cncf.kubernetes.pod_generator.PodGenerator"
    ),
    "airflow.kubernetes.secret.Secret": "airflow.providers.cncf.kubernetes.secret.Secret",
    "airflow.models.ImportError": "airflow.models.errors.ParseImportError",
    "airflow.models.SlaMiss": "",
    "airflow.models.TaskFail": "",
    "airflow.models.dag.ScheduleInterval": "",
    "airflow.models.mappedoperator.MappedOperator": (
        "airflow.sdk.definitions.mappedoperator.MappedOperator"
    ),
    "airflow.models.taskinstance.Context": "airflow.sdk.Context",
    "airflow.operators.bash_operator.BashOperator": (
        "airflow.providers.standard.operators.bash.BashOperator"
    ),
    "airflow.operators.branch_operator.BaseBranchOperator": "airflow.sdk.BaseBranchOperator",
    "airflow.operators.dagrun_operator.TriggerDagRunOperator": (
        "airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator"
    ),
    "airflow.operators.dummy.DummyOperator": (
        "airflow.providers.standard.operators.empty.EmptyOperator"
    ),
    "airflow.operators.dummy_operator.DummyOperator": (
        "airflow.providers.standard.operators.empty.EmptyOperator"
    ),
    "airflow.operators.email_operator.EmailOperator": (
        "airflow.providers.smtp.operators.smtp.EmailOperator"
    ),
    "airflow.operators.latest_only_operator.LatestOnlyOperator": (
        "airflow.providers.standard.operators.latest_only.LatestOnlyOperator"
    ),
    "airflow.operators.python_operator.BranchPythonOperator": (
        "airflow.providers.standard.operators.python.BranchPythonOperator"
    ),
    "airflow.operators.python_operator.PythonOperator": (
        "airflow.providers.standard.operators.python.PythonOperator"
    ),
    "airflow.operators.python_operator.PythonVirtualenvOperator": (
        "airflow.providers.standard.operators.python.PythonVirtualenvOperator"
    ),
    "airflow.operators.python_operator.ShortCircuitOperator": (
        "airflow.providers.standard.operators.python.ShortCircuitOperator"
    ),
    "airflow.operators.sensors.ExternalTaskSensor": (
        "airflow.providers.standard.sensors.external_task.ExternalTaskSensor"
    ),
    "airflow.operators.weekday.WeekDay": "airflow.providers.standard.utils.weekday.WeekDay",
    "airflow.sdk.BaseTrigger": "airflow.triggers.base.BaseTrigger",
    "airflow.sdk.Dataset": "airflow.sdk.Asset",
    "airflow.sdk.StartTriggerArgs": "airflow.triggers.base.StartTriggerArgs",
    "airflow.sdk.TriggerEvent": "airflow.triggers.base.TriggerEvent",
    "airflow.sensors.base_sensor_operator.BaseSensorOperator": "airflow.sdk.BaseSensorOperator",
    "airflow.sensors.external_task_sensor.ExternalTaskSensor": (
        "airflow.providers.standard.sensors.external_task.ExternalTaskSensor"
    ),
    "airflow.timetables.datasets.DatasetOrTimeSchedule": (
        "airflow.timetables.assets.AssetOrTimeSchedule"
    ),
    "airflow.triggers.external_task.TaskStateTrigger": (
        "airflow.providers.standard.triggers.external_task.WorkflowTrigger"
    ),
    "airflow.utils.dates.date_range": "",
    "airflow.utils.dates.days_ago": "",
    "airflow.utils.dates.parse_execution_date": "",
    "airflow.utils.dates.round_time": "",
    "airflow.utils.decorators.apply_defaults": "",
    "airflow.utils.file.TemporaryDirectory": "tempfile.TemporaryDirectory",
    "airflow.utils.helpers.chain": "airflow.sdk.chain",
    "airflow.utils.helpers.cross_downstream": "airflow.sdk.cross_downstream",
    "airflow.utils.log.secrets_masker.mask_secret": "airflow.sdk.log.mask_secret",
    "airflow.utils.weekday.WeekDay": "airflow.providers.standard.utils.weekday.WeekDay",
}
"""Full names that cannot be imported, and their new names; empty if there is none."""

GONE_MODULES: Mapping[str, str] = {
    "airflow.api.common.experimental": "the REST API, or airflow.sdk inside a task",
    "airflow.api_connexion": "the REST API v2",
    "airflow.auth": "airflow.api_fastapi.auth",
    "airflow.contrib": "the provider package that has it now (airflow.providers.*)",
    "airflow.datasets": "airflow.sdk (Asset, AssetAlias)",
    "airflow.executors.celery_executor": "airflow.providers.celery.executors",
    "airflow.executors.celery_kubernetes_executor": (
        "[core] executor = CeleryExecutor,KubernetesExecutor"
    ),
    "airflow.executors.kubernetes_executor": "airflow.providers.cncf.kubernetes.executors",
    "airflow.executors.local_kubernetes_executor": (
        "[core] executor = LocalExecutor,KubernetesExecutor"
    ),
    "airflow.jobs.base_job": "airflow.jobs.job",
    "airflow.kubernetes": "airflow.providers.cncf.kubernetes",
    "airflow.lineage.entities": "assets (airflow.sdk.Asset)",
    "airflow.models.dataset": "airflow.models.asset",
    "airflow.models.mappedoperator": "airflow.sdk.definitions.mappedoperator",
    "airflow.operators.sql": "airflow.providers.common.sql.operators.sql",
    "airflow.operators.subdag": "airflow.sdk.TaskGroup",
    "airflow.operators.subdag_operator": "airflow.sdk.TaskGroup",
    "airflow.providers.cncf.kubernetes.backcompat.pod": "kubernetes.client.models",
    "airflow.providers.cncf.kubernetes.backcompat.volume": "kubernetes.client.models.V1Volume",
    "airflow.providers.cncf.kubernetes.backcompat.volume_mount": (
        "kubernetes.client.models.V1VolumeMount"
    ),
    "airflow.providers.cncf.kubernetes.operators.kubernetes_pod": (
        "airflow.providers.cncf.kubernetes.operators.pod"
    ),
    "airflow.providers.cncf.kubernetes.triggers.kubernetes_pod": (
        "airflow.providers.cncf.kubernetes.triggers.pod"
    ),
    "airflow.sensors.sql": "airflow.providers.common.sql.sensors.sql",
    "airflow.timetables.datasets": "airflow.timetables.assets",
    "airflow.utils.airflow_flask_app": "the REST API v2",
    "airflow.utils.log.secrets_masker": "airflow.sdk.log (mask_secret)",
    "airflow.utils.python_virtualenv": "airflow.providers.standard.utils.python_virtualenv",
    "airflow.utils.weekday": "airflow.providers.standard.utils.weekday",
    "airflow.www": "a FastAPI app of a plugin",
}
"""Modules that are not there, with all below them, and where to look instead."""

REMOVED_HOW: Mapping[str, str] = {
    "airflow.utils.dates.days_ago": "a fixed date: pendulum.datetime(2024, 1, 1, tz='UTC')",
    "airflow.utils.dates.date_range": "a list of dates of your own",
    "airflow.utils.dates.parse_execution_date": "airflow.sdk.timezone.parse",
    "airflow.utils.dates.round_time": "a few lines of datetime of your own",
    "airflow.utils.decorators.apply_defaults": "nothing: delete the decorator",
    "airflow.models.SlaMiss": "deadline alerts (airflow.sdk.DeadlineAlert)",
    "airflow.models.TaskFail": "the REST API's task instances",
    "airflow.models.dag.ScheduleInterval": "a type of your own",
}
"""What to do without those names that have no new one."""

CLOSED = ("airflow.operators", "airflow.hooks", "airflow.sensors")
"""Packages that hold nothing but forwards to new places: all else in them is gone."""


def moved_imports() -> dict[str, str]:
    """Full old name to full new name, for all that still works with a warning."""
    found = {}
    for old, new, names in _MOVED:
        for entry in names.split():
            before, _, after = entry.partition("=")
            found[f"{old}.{before}"] = f"{new}.{after or before}"
    return found
