package server

func (s *Server) anthropicRoutes() []route { return nil }
