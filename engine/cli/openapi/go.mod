module github.com/pb33f/libopenapi

go 1.25.0

require (
	github.com/pb33f/ordered-map/v2 v2.3.1
	go.yaml.in/yaml/v4 v4.0.0-rc.4
)
