"""What people look at: pictures of frames, and one HTML page that opens offline. From result objects only.

Importing this room imports neither Pillow nor Jinja2; drawing without them raises MissingDependencyError.
"""

from bevdeploy.report.bev_picture import bev_picture as bev_picture
from bevdeploy.report.camera_picture import camera_picture as camera_picture
from bevdeploy.report.frame_picture import FrameTitle as FrameTitle
from bevdeploy.report.frame_picture import frame_picture as frame_picture
from bevdeploy.report.html import Figure as Figure
from bevdeploy.report.html import Page as Page
from bevdeploy.report.html import Section as Section
from bevdeploy.report.html import Table as Table
from bevdeploy.report.html import Verdict as Verdict
from bevdeploy.report.html import html_from_page as html_from_page
from bevdeploy.report.html import save_html as save_html
from bevdeploy.report.image_bytes import jpeg_bytes as jpeg_bytes
from bevdeploy.report.image_bytes import png_bytes as png_bytes
from bevdeploy.report.image_bytes import save_png as save_png
from bevdeploy.report.latency_plot import SvgDrawing as SvgDrawing
from bevdeploy.report.latency_plot import latency_histogram as latency_histogram

__all__ = [
    "Figure",
    "FrameTitle",
    "Page",
    "Section",
    "SvgDrawing",
    "Table",
    "Verdict",
    "bev_picture",
    "camera_picture",
    "frame_picture",
    "html_from_page",
    "jpeg_bytes",
    "latency_histogram",
    "png_bytes",
    "save_html",
    "save_png",
]
