"""Planning: one ego trajectory for each command, all at once, so that a command is no input."""

from __future__ import annotations

from torch import Tensor, nn

from bevdeploy.errors import ContractError
from bevdeploy.models.heads.decoder import BEVDecoder, running_sum
from bevdeploy.tasks import EGO_STATE


class PlanningHead(nn.Module):
    """Command embeddings plus the mean BEV feature read the map and emit offsets, which are summed."""

    def __init__(
        self, channels: int, heads: int, hidden: int, commands: int, steps: int, ego_state: bool = False
    ) -> None:
        super().__init__()
        self.steps = steps
        self.commands = nn.Embedding(commands, channels)
        self.scene = nn.Linear(channels, channels)
        self.ego = nn.Linear(EGO_STATE, channels) if ego_state else None
        self.decoder = BEVDecoder(channels, heads, hidden)
        self.out = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 2 * steps))

    def forward(self, bev: Tensor, memory: Tensor, ego_state: Tensor | None = None) -> Tensor:
        """BEV [B, C, Y, X], its tokens [B, S, C] and, if built so, ego state [B, 9]; to [B, commands, steps, 2]."""
        scene = self.scene(bev.mean((2, 3)))  # [B, C]
        if self.ego is not None:
            if ego_state is None:
                raise ContractError("a student built with ego_state=True needs StudentInputs.ego_state [B, 9]")
            scene = scene + self.ego(ego_state)
        queries = self.commands.weight[None] + scene[:, None]  # [B, commands, C]
        offsets: Tensor = self.out(self.decoder(queries, memory))  # [B, commands, 2*steps]
        offsets = offsets.reshape(*queries.shape[:2], self.steps, 2)  # [B, commands, steps, 2]
        return running_sum(self.steps, offsets) @ offsets
