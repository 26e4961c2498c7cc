package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;

/** Attention or a feed-forward layer: from a normalised activation to what a block adds. */
@FunctionalInterface
public interface Body {
  /** The steps that define {@code out} from {@code in}. */
  ImmutableList<Step> steps(String in, String out);
}
