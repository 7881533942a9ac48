// Entry points of the CUDA runtime: the capture of streams, and graphs.
#include <algorithm>
#include <unordered_map>

#include "simt/host/entry.h"
#include "simt/host/stream.h"

namespace tidu::simt {

namespace {

// An executable form: what each node of the graph that it was made of does. Nodes of graphs inside it can be
// given other work; launches of one form come one after another.
struct GraphExec {
  struct Piece {
    std::shared_ptr<const GraphNode> of;
    std::vector<std::shared_ptr<const GraphNode>> nodes;  // none of them a graph
  };
  std::shared_ptr<const Graph> source;  // whose memory it uses
  std::vector<Piece> pieces;
  Point last;  // launch
};

template <class T> std::unordered_map<const void*, std::shared_ptr<T>>& all() {
  static auto& made = *new std::unordered_map<const void*, std::shared_ptr<T>>;
  return made;
}

template <class T> std::shared_ptr<T> find(const void* handle) {
  const auto found = all<T>().find(handle);
  if (found != all<T>().end()) return found->second;
  report("no such graph: it was destroyed or never made");
  return nullptr;
}

template <class Handle, class T> Handle handle_for(std::shared_ptr<T> made) {
  const void* const handle = made.get();
  all<T>().emplace(handle, std::move(made));
  return static_cast<Handle>(const_cast<void*>(handle));
}

template <class T> cudaError_t destroy(const void* handle) {
  if (find<T>(handle) == nullptr) return cudaErrorInvalidValue;
  all<T>().erase(handle);
  return cudaSuccess;
}

std::shared_ptr<GraphNode> node_of(const Graph& graph, const void* handle) {
  for (const auto& node : graph.nodes) {
    if (node.get() == handle) return node;
  }
  return nullptr;
}
std::shared_ptr<GraphNode> find_node(const void* handle) {
  for (const auto& [key, graph] : all<Graph>()) {
    if (auto node = node_of(*graph, handle)) return node;
  }
  report("no such node: its graph was destroyed or it was never made");
  return nullptr;
}

void flatten(const std::shared_ptr<const GraphNode>& node,
             std::vector<std::shared_ptr<const GraphNode>>& into) {
  if (!node->child) return into.push_back(node);
  for (const auto& inner : node->child->nodes) flatten(inner, into);
}

std::shared_ptr<const Graph> copy_of(const Graph& graph) {
  auto made = std::make_shared<Graph>();
  for (const auto& node : graph.nodes) made->nodes.push_back(std::make_shared<GraphNode>(*node));
  return made;
}

}  // namespace

}  // namespace tidu::simt

using namespace tidu::simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return entry(handle, [&](const auto& stream) {
    if (handle == nullptr || handle == cudaStreamLegacy) {
      return wrong("cudaStreamBeginCapture: the default stream cannot be captured",
                   cudaErrorStreamCaptureUnsupported);
    }
    if (stream->capture)
      return wrong("cudaStreamBeginCapture: the stream is being captured", cudaErrorIllegalState);
    begin_capture(stream, mode);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  *graph = nullptr;
  return entry(handle, [&](const auto& stream) {
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr)
      return wrong("cudaStreamEndCapture: the stream is not being captured", cudaErrorIllegalState);
    if (capture->origin != stream.get()) {
      return invalidate(*capture, "cudaStreamEndCapture: the capture began in another stream",
                        cudaErrorStreamCaptureUnmatched);
    }
    bool joined = true;
    for (const auto& other : capture->streams) {
      joined = joined && stream->clock[other.get()] >= other->clock[other.get()];
    }
    end_capture(capture);
    if (capture->invalid)
      return wrong("cudaStreamEndCapture: the capture has failed", cudaErrorStreamCaptureInvalidated);
    if (!joined) {
      return wrong(
          "cudaStreamEndCapture: work of another stream is not waited for by the one that began the capture",
          cudaErrorStreamCaptureUnjoined);
    }
    *graph = handle_for<cudaGraph_t>(capture->graph);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return entry(handle, [&](const auto& stream) {
    *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  return entry([&] {
    *graph = handle_for<cudaGraph_t>(std::make_shared<Graph>());
    return cudaSuccess;
  });
}
// Work is kept in the order in which it was added, so that what it depends on has to be there.
cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* node, cudaGraph_t handle,
                                       const cudaGraphNode_t* dependencies, size_t count,
                                       cudaGraph_t child_handle) {
  return entry([&] {
    const auto graph = find<Graph>(handle), child = find<Graph>(child_handle);
    if (graph == nullptr || child == nullptr) return cudaErrorInvalidValue;
    if (!child->memory.empty())
      return wrong("cudaGraphAddChildGraphNode: the graph allocates memory", cudaErrorNotSupported);
    for (size_t i = 0; i < count; ++i) {
      if (node_of(*graph, dependencies[i]) == nullptr)
        return wrong("cudaGraphAddChildGraphNode: it depends on a node of another graph");
    }
    graph->nodes.push_back(
        std::make_shared<GraphNode>(GraphNode{cudaGraphNodeTypeGraph, {}, copy_of(*child)}));
    *node = reinterpret_cast<cudaGraphNode_t>(graph->nodes.back().get());
    return cudaSuccess;
  });
}
cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, size_t* count) {
  return entry([&] {
    const auto graph = find<Graph>(handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    for (size_t i = 0; nodes && i < *count; ++i)
      nodes[i] = i < graph->nodes.size() ? reinterpret_cast<cudaGraphNode_t>(graph->nodes[i].get()) : nullptr;
    if (!nodes || *count > graph->nodes.size()) *count = graph->nodes.size();
    return cudaSuccess;
  });
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t handle, cudaGraphNodeType* type) {
  return entry([&] {
    const auto node = find_node(handle);
    if (node == nullptr) return cudaErrorInvalidValue;
    *type = node->type;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t handle, unsigned long long) {
  return entry([&] {
    const auto graph = find<Graph>(handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    auto made = std::make_shared<GraphExec>();
    made->source = graph;
    for (const auto& node : graph->nodes) flatten(node, made->pieces.emplace_back(node).nodes);
    *executable = handle_for<cudaGraphExec_t>(std::move(made));
    return cudaSuccess;
  });
}
cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t handle, cudaGraphNode_t node,
                                                 cudaGraph_t child_handle) {
  return entry([&] {
    const auto executable = find<GraphExec>(handle);
    const auto child = find<Graph>(child_handle);
    if (executable == nullptr || child == nullptr || find_node(node) == nullptr) return cudaErrorInvalidValue;
    for (auto& [of, nodes] : executable->pieces) {
      if (reinterpret_cast<cudaGraphNode_t>(const_cast<GraphNode*>(of.get())) != node) continue;
      std::vector<std::shared_ptr<const GraphNode>> changed;
      for (const auto& inner : child->nodes) flatten(inner, changed);
      const auto alike = [](const auto& a, const auto& b) { return a->type == b->type; };
      if (!std::ranges::equal(nodes, changed, alike))
        return wrong("cudaGraphExecChildGraphNodeSetParams: the graph has other nodes than the one before",
                     cudaErrorGraphExecUpdateFailure);
      nodes = std::move(changed);
      return cudaSuccess;
    }
    return wrong("cudaGraphExecChildGraphNodeSetParams: the node is none of the executable graph's");
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return entry([&] {
    const auto executable = find<GraphExec>(handle);
    const auto stream = find_stream(stream_handle);
    if (executable == nullptr) return cudaErrorInvalidValue;
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    std::vector<std::shared_ptr<const GraphNode>> work;
    for (const auto& piece : executable->pieces)
      work.insert(work.end(), piece.nodes.begin(), piece.nodes.end());
    const auto run = [work] {
      for (const auto& node : work) node->run();
    };
    const cudaError_t error = submit(stream, run, {executable->last}, cudaGraphNodeTypeGraph);
    if (error == cudaSuccess && !stream->capture) executable->last = {stream, stream->issued};
    return error;
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  return entry([&] { return destroy<Graph>(handle); });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return entry([&] { return destroy<GraphExec>(handle); });
}
