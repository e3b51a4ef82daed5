//! Waiting items: one arena, and a queue through it for each slot.

const NONE: usize = usize::MAX;

/// The arena. Nodes that are no longer used are linked and used again.
pub(super) struct Waiting<T> {
    nodes: Vec<Node<T>>,
    unused: usize,
    len: usize,
}

/// The first and the last of a queue.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    head: usize,
    tail: usize,
}

struct Node<T> {
    item: Option<T>,
    seq: u64,
    next: usize,
}

impl Queue {
    pub(super) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };
}

impl<T> Waiting<T> {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            unused: NONE,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, queue: &mut Queue, seq: u64, item: T) {
        let node = Node {
            item: Some(item),
            seq,
            next: NONE,
        };
        let index = if self.unused == NONE {
            self.nodes.push(node);
            self.nodes.len() - 1
        } else {
            let index = self.unused;
            self.unused = self.nodes[index].next;
            self.nodes[index] = node;
            index
        };
        if queue.tail == NONE {
            queue.head = index;
        } else {
            self.nodes[queue.tail].next = index;
        }
        queue.tail = index;
        self.len += 1;
    }

    /// The arrival number of the first item.
    pub(super) fn first(&self, queue: &Queue) -> Option<u64> {
        (queue.head != NONE).then(|| self.nodes[queue.head].seq)
    }

    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<T> {
        if queue.head == NONE {
            return None;
        }
        let index = queue.head;
        let node = &mut self.nodes[index];
        let item = node.item.take();
        queue.head = node.next;
        node.next = self.unused;
        self.unused = index;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.len -= 1;
        item
    }

    /// Drops all items; the queues through the arena are void.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.unused = NONE;
        self.len = 0;
    }
}
