"""Pictures: of computations (graph), of functions of one and two numbers, and of training.

    td.viz.graph(f, x1, x2).save("graph.svg")             # values and adjoints at every node; SVG or DOT
    td.viz.contour(f, (-2, 2), (-1, 1)).savefig("f.png")

graph needs no other package. All others need matplotlib and return a matplotlib Figure.
"""

from tidu._arguments import explain as _explain
from tidu.viz._functions import contour as contour
from tidu.viz._functions import descent_path as descent_path
from tidu.viz._functions import gradient_field as gradient_field
from tidu.viz._functions import quadratic_model as quadratic_model
from tidu.viz._functions import surface as surface
from tidu.viz._graph import Graph as Graph
from tidu.viz._graph import graph as graph
from tidu.viz._training import confusion_matrix as confusion_matrix
from tidu.viz._training import curves as curves
from tidu.viz._training import predictions as predictions
from tidu.viz._training import weights as weights

_explain(globals(), [name for name in dir() if not name.startswith("_")])
