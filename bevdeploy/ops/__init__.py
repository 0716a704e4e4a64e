"""BEVPool as torch operators: one for training, one for the deployed graph, and their slow twins."""

from bevdeploy.ops.bev_pool import bev_pool as bev_pool
from bevdeploy.ops.bev_pool_node import PoolTableTensors as PoolTableTensors
from bevdeploy.ops.bev_pool_node import bev_pool_node as bev_pool_node
from bevdeploy.ops.bev_pool_node import pool_table_tensors as pool_table_tensors
from bevdeploy.ops.bev_pool_torch import bev_pool_node_torch as bev_pool_node_torch
from bevdeploy.ops.bev_pool_torch import bev_pool_torch as bev_pool_torch
from bevdeploy.ops.pool_ranks import PoolRanks as PoolRanks
from bevdeploy.ops.pool_ranks import pool_ranks as pool_ranks

__all__ = [
    "PoolRanks",
    "PoolTableTensors",
    "bev_pool",
    "bev_pool_node",
    "bev_pool_node_torch",
    "bev_pool_torch",
    "pool_ranks",
    "pool_table_tensors",
]
