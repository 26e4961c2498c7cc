package dev.gptq.formats.safetensors;

import com.google.common.base.Strings;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Ordering;
import java.util.Collection;
import java.util.Comparator;

/** Suggestions for a name that does not exist. */
final class NearNames {
  private static final int MOST = 3;

  private NearNames() {}

  /** The names that share the longest beginning and ending with the wanted one. */
  static ImmutableList<String> of(String wanted, Collection<String> names) {
    Comparator<String> byLikeness = Comparator.comparingInt(name -> likeness(wanted, name));
    return ImmutableList.copyOf(
        Ordering.from(byLikeness.thenComparing(Comparator.reverseOrder())).greatestOf(names, MOST));
  }

  private static int likeness(String a, String b) {
    return Strings.commonPrefix(a, b).length() + Strings.commonSuffix(a, b).length();
  }
}
