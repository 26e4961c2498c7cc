package dev.gptq.models.gguf;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a tensor of a checkpoint stands in a GGUF file.
 *
 * @param name of the tensor in the file
 * @param stem its name below a block, without {@code weight} or {@code bias}; outside of blocks the
 *     whole
 * @param expert which part of it, or −1 if it is the whole
 */
public record GgufPlace(String name, String stem, int expert) {
  private static final String ROUTER = "ffn_gate_inp";
  private static final String CORRECTION = "exp_probs_b";
  private static final Pattern BLOCK = Pattern.compile("(\\d+)\\.(.*)");
  private static final Pattern NUMBERED = Pattern.compile("(.*\\.)(\\d+)(\\..*)");
  private static final Pattern EXPERT = Pattern.compile("(\\d+)\\.(\\w+)");

  /** The place of a tensor in files of a family, if it has one. */
  public static Optional<GgufPlace> find(GgufFamily family, String tensor) {
    int dot = tensor.lastIndexOf('.');
    String module = tensor.substring(0, dot);
    String suffix = tensor.substring(dot);
    boolean below = tensor.startsWith(family.layers());
    Matcher block = BLOCK.matcher(below ? tensor.substring(family.layers().length()) : "");
    if (!block.matches()) {
      return Optional.ofNullable(family.ends().get(module))
          .map(name -> new GgufPlace(name + suffix, name, -1));
    }
    String prefix = GgufFamily.BLOCKS + block.group(1) + ".";
    String rest = block.group(2);
    String whole = family.tensors().get(rest);
    if (whole != null) {
      return Optional.of(new GgufPlace(prefix + whole, GgufOrder.module(whole), -1));
    }
    if (!rest.endsWith(suffix)) {
      return Optional.empty();
    }
    String name = rest.substring(0, rest.length() - suffix.length());
    Matcher numbered = NUMBERED.matcher(rest);
    if (numbered.matches()) {
      String several = family.tensors().get(numbered.group(1) + "*" + numbered.group(3));
      if (several != null) {
        return Optional.of(
            new GgufPlace(
                prefix + several,
                several.substring(0, several.lastIndexOf('.')),
                Integer.parseInt(numbered.group(2))));
      }
    }
    if (!family.experts().isEmpty() && name.startsWith(family.experts())) {
      Matcher expert = EXPERT.matcher(name.substring(family.experts().length()));
      return expert.matches()
          ? Optional.ofNullable(family.expertModules().get(expert.group(2)))
              .map(stem ->
                  new GgufPlace(prefix + stem + suffix, stem, Integer.parseInt(expert.group(1))))
          : Optional.empty();
    }
    return Optional.ofNullable(family.modules().get(name))
        .map(stem -> new GgufPlace(prefix + stem + suffix, stem, -1));
  }

  /** The place of the output layer's matrix. */
  public static GgufPlace outputLayer() {
    return new GgufPlace("output.weight", "output", -1);
  }

  /** The same of another name below the block. */
  public GgufPlace named(String other) {
    return new GgufPlace(name.replace("." + stem + ".", "." + other + "."), other, expert);
  }

  /** Whether it is a matrix that chooses experts, or what its choice is corrected by. */
  public boolean isRouter() {
    return stem.startsWith(ROUTER) || stem.equals(CORRECTION);
  }

  /** Whether it is the gain of a norm. */
  public boolean isNorm() {
    return stem.endsWith("norm");
  }

  /** Whether it is the gain of a norm that families store less by one, if they do so. */
  public boolean isShifted() {
    return isNorm() && !stem.equals("ssm_norm");
  }

  /** Whether it is the kernel of a convolution, features × width in a file. */
  public boolean isConvolution() {
    return isConvolution(stem);
  }

  static boolean isConvolution(String stem) {
    return stem.equals("shortconv.conv") || stem.equals("ssm_conv1d");
  }

  /** Whether it is a table of positions. */
  public boolean isPositions() {
    return stem.equals("position_embd");
  }

  /** Whether it is an embedding or the output layer. */
  public boolean isEnd() {
    return stem.endsWith("token_embd") || stem.equals("output");
  }
}
