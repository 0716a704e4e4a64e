"""Distillation around a student: methods, the taps they read, and the protocol that trainers call."""

from bevdeploy.distill.methods import DISTILLERS as DISTILLERS
from bevdeploy.distill.methods import build_distiller as build_distiller
from bevdeploy.distill.protocol import Distiller as Distiller
from bevdeploy.distill.protocol import DistillTruth as DistillTruth
from bevdeploy.distill.protocol import total as total
from bevdeploy.distill.taps import StudentTaps as StudentTaps
from bevdeploy.distill.taps import TapForm as TapForm
from bevdeploy.distill.taps import Taps as Taps
from bevdeploy.distill.taps import form_of_taps as form_of_taps
from bevdeploy.distill.taps import student_form as student_form

__all__ = [
    "DISTILLERS",
    "DistillTruth",
    "Distiller",
    "StudentTaps",
    "TapForm",
    "Taps",
    "build_distiller",
    "form_of_taps",
    "student_form",
    "total",
]
