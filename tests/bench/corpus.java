// SPDX-License-Identifier: GPL-2.0
//
// Fill the heap of a Java machine, say so, and wait to be ended.
//
// usage: java corpus.java PAGES

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

class Corpus {
	record Order(long id, String customer, double price, List<String> notes, long at) {}

	static class Node {
		Node left, right;
		final int key;
		final Object value;

		Node(int key, Object value) {
			this.key = key;
			this.value = value;
		}
	}

	static Node insert(Node node, int key, Object value) {
		if (node == null)
			return new Node(key, value);
		if (key < node.key)
			node.left = insert(node.left, key, value);
		else
			node.right = insert(node.right, key, value);
		return node;
	}

	public static void main(String[] arguments) throws Exception {
		long wanted = Long.parseLong(arguments[0]) * 4096 * 5 / 4;
		// The same numbers each time.
		Random numbers = new Random(1);
		Map<String, Order> orders = new HashMap<>();
		TreeMap<Long, int[]> index = new TreeMap<>();
		ArrayDeque<byte[]> packets = new ArrayDeque<>();
		Node root = null;
		Runtime runtime = Runtime.getRuntime();
		for (int i = 0; runtime.totalMemory() - runtime.freeMemory() < wanted; i++) {
			String customer = "customer-" + numbers.nextInt(20000);
			List<String> notes = new ArrayList<>();
			for (int left = numbers.nextInt(4); left > 0; left--)
				notes.add("note " + numbers.nextInt(1000));
			Order order = new Order(i, customer, numbers.nextInt(100000) / 100.0, notes,
						1700000000L + 37L * i);
			orders.put(customer + ":" + i, order);
			if (i % 3 == 0)
				index.put(numbers.nextLong(), new int[] { i, numbers.nextInt(100), 0 });
			if (i % 4 == 0)
				root = insert(root, numbers.nextInt(), order);
			if (i % 16 == 0) {
				byte[] packet = new byte[64 + numbers.nextInt(200)];
				for (int at = 0; at < packet.length; at++)
					packet[at] = (byte)(at % 16 < 4 ? numbers.nextInt(256) : i >> at % 8);
				packets.add(packet);
			}
		}
		System.out.print("ready\n");
		System.out.flush();
		System.in.read();
		System.out.println(orders.size() + index.size() + packets.size() + root.key);
	}
}
