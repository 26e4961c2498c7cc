package dev.gptq.models.text;

import com.google.common.primitives.Ints;
import java.util.Arrays;
import java.util.List;

/** Where each document of a stream of tokens begins and ends. */
final class DocumentBounds {
  private final int[] starts;
  private final int[] ends;

  /** Takes the places of documents that have tokens, in order. */
  DocumentBounds(List<Integer> starts, List<Integer> ends) {
    this.starts = Ints.toArray(starts);
    this.ends = Ints.toArray(ends);
  }

  /**
   * Moves a window back so that it lies within one document, if that is long enough; if not, so
   * that it begins where a document does, and whole documents follow.
   *
   * @param start where the window would begin
   * @return where it begins, at most {@code start}
   */
  int moved(int start, int length) {
    int found = Arrays.binarySearch(starts, start);
    int document = found >= 0 ? found : -found - 2;
    int last = ends[document] - length;
    if (start <= last) {
      return start;
    }
    return Math.max(starts[document], last);
  }
}
