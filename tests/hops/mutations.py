"""Every broken thing the judges are shown."""

from tests.hops.breaking import Mutation
from tests.hops.broken_cluster import CLUSTER, SERVICE
from tests.hops.broken_fabric import FABRIC, TASK
from tests.hops.broken_host import HOST
from tests.hops.broken_sandbox import SANDBOX
from tests.hops.broken_traffic import TRAFFIC

MUTATIONS: tuple[Mutation, ...] = (
    *CLUSTER,
    *SERVICE,
    *HOST,
    *SANDBOX,
    *FABRIC,
    *TASK,
    *TRAFFIC,
)
