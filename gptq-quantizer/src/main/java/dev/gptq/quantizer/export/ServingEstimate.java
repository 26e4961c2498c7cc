package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufStored;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Parameters.Parameter;
import dev.gptq.models.family.Step;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * What a model takes of the memory of a program that serves it, and how fast that memory lets it
 * write: arithmetic over the tensors of its checkpoint, nothing of it measured.
 *
 * <p>Each token of one text reads all weights that take part in it and what is cached of the text,
 * so that
 *
 * <pre>  tokens/s ≤ bandwidth / (read + cache(tokens))</pre>
 *
 * <p>The cache has keys and values of every position in 16 bits, of layers with a window no more
 * than that; with latent attention what they are computed from. The states of recurrent layers,
 * which do not grow with the text, are left out.
 *
 * @param weights bytes of all weights as they are stored
 * @param read bytes of them that a token reads: of experts the share that is chosen, the output
 *     head, of an embedding that is not the head nothing
 * @param caches of the layers that have one
 */
public record ServingEstimate(long weights, long read, ImmutableList<Cache> caches) {
  private static final int NUMBER = 2;

  /**
   * The cache of a layer.
   *
   * @param bytes of a position
   * @param positions that it holds at most
   */
  public record Cache(long bytes, int positions) {}

  /** Of a model, quantized or not. */
  public static ServingEstimate of(Model model) throws IOException {
    long weights =
        Files.isRegularFile(model.path())
            ? Files.size(model.path())
            : model.checkpoint().totalBytes();
    ImmutableList.Builder<Cache> caches = ImmutableList.builder();
    for (BlockSpec block : model.spec().blocks()) {
      block.steps().stream()
          .filter(Step.Attention.class::isInstance)
          .map(Step.Attention.class::cast)
          // What an earlier block keeps is in its cache already.
          .filter(attention -> !block.needs().contains(attention.k()))
          .forEach(attention -> caches.add(cache(model, attention)));
    }
    return new ServingEstimate(weights, read(model), caches.build());
  }

  private static long read(Model model) throws IOException {
    if (Files.isRegularFile(model.path())) {
      return readOfFile(model);
    }
    long read = stored(model, model.spec().head().matrix(), 0);
    for (BlockSpec block : model.spec().blocks()) {
      read += read(model, block);
    }
    return read;
  }

  /** By the tensors of a GGUF file, of which {@link Model#packedBytes} has other sizes. */
  private static long readOfFile(Model model) throws IOException {
    double share =
        model.spec().blocks().stream()
            .flatMap(block -> shares(block).values().stream())
            .mapToDouble(Double::doubleValue)
            .min()
            .orElse(1);
    try (GgufFile file = GgufFile.open(model.path())) {
      boolean tied = !file.tensors().containsKey("output.weight");
      double read = 0;
      for (GgufStored tensor : file.tensors().values()) {
        if (tied || !tensor.name().equals("token_embd.weight")) {
          double taken = tensor.name().contains("_exps.") ? share : 1;
          read += taken * tensor.bytes().byteSize();
        }
      }
      return Math.round(read);
    }
  }

  private static Cache cache(Model model, Step.Attention attention) {
    long numbers =
        model.config().text().has("kv_lora_rank")
            ? model.config().text().size("kv_lora_rank")
                + model.config().text().size("qk_rope_head_dim")
            : 2L * attention.spec().keyValueHeads() * attention.spec().headSize();
    int most = Integer.MAX_VALUE;
    if (attention.spec().window() > 0) {
      most = attention.spec().window();
    } else if (attention.chunk() > 0) {
      most = attention.chunk();
    }
    return new Cache(NUMBER * numbers, most);
  }

  private static long read(Model model, BlockSpec block) {
    Map<String, Double> shares = shares(block);
    double bytes = 0;
    for (Map.Entry<String, Parameter> entry : Parameters.of(block).tensors().entrySet()) {
      long elements = entry.getValue().shape().stream().reduce(1L, (a, b) -> a * b);
      bytes +=
          shares.getOrDefault(entry.getKey(), 1.0)
              * stored(model, entry.getKey(), NUMBER * elements);
    }
    return Math.round(bytes);
  }

  /** The weights of experts, and the share of them that a token reads. */
  private static Map<String, Double> shares(BlockSpec block) {
    Map<String, Double> routes = new HashMap<>();
    Map<String, Double> shares = new HashMap<>();
    double share = 1;
    for (Step step : block.steps()) {
      switch (step) {
        case Step.Route route ->
            routes.put(
                route.router().out(), (double) route.routing().chosen() / route.router().outputs());
        case Step.Gather gather -> share = routes.get(gather.routes());
        case Step.Scatter _ -> share = 1;
        default -> {
          for (LinearSpec linear : linears(step).toList()) {
            shares.put(block.nameOf(linear) + ".weight", share);
          }
        }
      }
    }
    return shares;
  }

  private static Stream<LinearSpec> linears(Step step) {
    return switch (step) {
      case Step.Linears group -> group.modules().stream();
      case Step.Project project -> Stream.of(project.module());
      default -> Stream.empty();
    };
  }

  /** Bytes of a tensor in the file, or what is said where it is not there under its name. */
  private static long stored(Model model, String tensor, long otherwise) {
    OptionalLong packed =
        tensor.endsWith(".weight")
            ? model.packedBytes(Parameters.module(tensor))
            : OptionalLong.empty();
    return packed.orElseGet(
        () -> model.checkpoint().find(tensor).map(stored -> stored.byteSize()).orElse(otherwise));
  }

  /** Bytes of the cache of a text. */
  public long cache(int tokens) {
    return caches.stream()
        .mapToLong(cache -> cache.bytes() * Math.min(tokens, cache.positions()))
        .sum();
  }

  /** Whether a machine has room for the weights and the cache of one text. */
  public boolean fits(Machine machine, int tokens) {
    return weights + cache(tokens) <= machine.room();
  }

  /** Tokens a second at most with so many in the text already. */
  public double tokensPerSecond(Machine machine, int tokens) {
    return machine.bandwidth() / (read + cache(tokens));
  }
}
