// SPDX-License-Identifier: GPL-2.0

// Fill the heap of a Go program, say so, and wait to be ended.
//
// usage: corpus PAGES
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

type item struct {
	what  string
	count int
	price float64
}

type order struct {
	id       int64
	customer string
	items    []item
	at       time.Time
	tags     map[string]bool
	next     *order
}

type shape interface {
	area() float64
}

type square struct{ side float64 }

type circle struct{ x, y, radius float32 }

func (s square) area() float64 { return s.side * s.side }

func (c circle) area() float64 { return 3 * float64(c.radius*c.radius) }

type heap struct {
	orders  map[string]*order
	index   map[uint64][]uint32
	shapes  []shape
	lines   []string
	packets [][]byte
	last    *order
}

func (h *heap) grow(numbers *rand.Rand, i int) {
	one := &order{
		id:       int64(i),
		customer: "customer-" + strconv.Itoa(numbers.Intn(20000)),
		at:       time.Unix(1700000000+37*int64(i), 0),
		next:     h.last,
	}
	for n := numbers.Intn(5); n > 0; n-- {
		one.items = append(one.items, item{
			"article " + strconv.Itoa(numbers.Intn(900)),
			numbers.Intn(10),
			float64(numbers.Intn(100000)) / 100,
		})
	}
	if i%8 == 0 {
		one.tags = map[string]bool{"new": true, "paid": numbers.Intn(2) == 0}
		h.last = one
	}
	h.orders[fmt.Sprintf("%s:%d", one.customer, i)] = one
	key := numbers.Uint64() >> 40
	h.index[key] = append(h.index[key], uint32(i))
	if i%2 == 0 {
		h.shapes = append(h.shapes, square{numbers.Float64()})
	} else {
		h.shapes = append(h.shapes, circle{float32(i), 1, numbers.Float32()})
	}
	if i%10 == 0 {
		words := strings.Repeat("a line of a log, ", 1+numbers.Intn(4))
		h.lines = append(h.lines, fmt.Sprintf("%s %s %d", one.at.UTC(), words, i))
		packet := make([]byte, 40+numbers.Intn(300))
		numbers.Read(packet[:20])
		h.packets = append(h.packets, packet)
	}
}

func main() {
	pages, _ := strconv.ParseUint(os.Args[1], 10, 64)
	kept := heap{orders: map[string]*order{}, index: map[uint64][]uint32{}}
	// The same numbers each time.
	numbers := rand.New(rand.NewSource(1))
	var memory runtime.MemStats
	for i := 0; memory.HeapAlloc < pages*4096*5/4; i++ {
		kept.grow(numbers, i)
		if i%1000 == 0 {
			runtime.ReadMemStats(&memory)
		}
	}
	fmt.Println("ready")
	fmt.Scanln()
	fmt.Println(len(kept.orders)+len(kept.index)+len(kept.shapes), kept.lines[0], kept.last.id)
	runtime.KeepAlive(&kept)
}
