// Package orderedmap has the maps of a description, in the order in which they were written.
package orderedmap

import orderedmap "github.com/pb33f/ordered-map/v2"

// Map is an ordered map whose missing values can be asked for.
type Map[K comparable, V any] struct {
	*orderedmap.OrderedMap[K, V]
}

// New makes an empty one.
func New[K comparable, V any]() *Map[K, V] {
	return &Map[K, V]{orderedmap.New[K, V]()}
}

// GetOrZero returns a key's value, or its type's zero where there is none.
func (m *Map[K, V]) GetOrZero(key K) V {
	value, _ := m.Get(key)
	return value
}

// Len counts the keys, none of a map that is not there.
func Len[K comparable, V any](m *Map[K, V]) int {
	if m == nil {
		return 0
	}
	return m.OrderedMap.Len()
}
