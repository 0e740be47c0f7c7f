package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/request"
)

func (s *Store) createUser(c *gin.Context) error {
	user, err := s.signUp(c)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, userBody(user))
}

func (s *Store) signUp(c *gin.Context) (*merchstorev1.User, error) {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "Create User endpoint is being called")
	if err := limitAddress(c, s.limits.SignupPerAddress); err != nil {
		return nil, err
	}
	body, err := request.JSON[newUser](c.Request)
	if err != nil {
		return nil, err
	}
	resp, err := s.db.CreateUser(ctx, &merchstorev1.CreateUserRequest{
		Sid: body.SID, Username: body.Username, Email: body.Email, Password: body.Password,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // Store.fail reads it
	}
	s.actions.Info(ctx, "User '"+resp.GetUser().GetUsername()+"' is created")
	return resp.GetUser(), nil
}

func (s *Store) login(c *gin.Context) error {
	resp, err := s.logIn(c)
	if err != nil {
		return err
	}
	return ok(c, tokenBody{Token: resp.GetToken(), TokenType: "Bearer", ExpiresIn: resp.GetExpiresIn()})
}

func (s *Store) logIn(c *gin.Context) (*merchstorev1.LoginResponse, error) {
	if err := limitAddress(c, s.limits.LoginPerAddress); err != nil {
		return nil, err
	}
	body, err := request.JSON[credentials](c.Request)
	if err != nil {
		return nil, err
	}
	if err := limitAccount(body.Username, s.limits.LoginPerAccount); err != nil {
		return nil, err
	}
	ctx := c.Request.Context()
	resp, err := s.db.Login(ctx, &merchstorev1.LoginRequest{Username: body.Username, Password: body.Password})
	if err != nil {
		return nil, err //nolint:wrapcheck // Store.fail reads it
	}
	s.actions.Info(ctx, "User "+resp.GetUser().GetUsername()+" successfully logged in")
	return resp, nil
}

func (s *Store) listUsers(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' fetching all users")
	page, err := request.PageOf(c.Request.URL.Query())
	if err != nil {
		return err
	}
	resp, err := s.db.ListUsers(ctx, &merchstorev1.ListUsersRequest{Limit: page.Limit, Cursor: page.Cursor})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, usersPage{Users: each(resp.GetUsers(), userBody), NextCursor: resp.GetNextCursor()})
}

func (s *Store) getUser(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' accessed get user by sid endpoint")
	sid, err := request.SID(c.Param("sid"))
	if err != nil {
		return err
	}
	resp, err := s.db.GetUser(ctx, &merchstorev1.GetUserRequest{Sid: sid})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, userBody(resp.GetUser()))
}

func (s *Store) updateUser(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	body, err := request.JSON[userChange](c.Request)
	name := caller.Username
	if body.Username != nil {
		name = request.Clip(*body.Username)
	}
	s.actions.Info(ctx, "'"+name+"' access update user endpoint")
	if err != nil {
		return err
	}
	resp, err := s.db.UpdateUser(ctx, &merchstorev1.UpdateUserRequest{
		Sid: c.Param("sid"), Username: body.Username, Email: body.Email,
		Password: body.Password, CurrentPassword: body.CurrentPassword,
	})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	user := resp.GetUser()
	s.actions.Info(ctx, "update user '"+user.GetSid()+"' to username '"+user.GetUsername()+"' successfully")
	return ok(c, userBody(user))
}

func (s *Store) deactivateUser(c *gin.Context, caller *token.Claims) error {
	ctx := c.Request.Context()
	s.actions.Info(ctx, "User '"+caller.Username+"' access deactivate user endpoint")
	resp, err := s.db.DeactivateUser(ctx, &merchstorev1.DeactivateUserRequest{Sid: c.Param("sid")})
	if err != nil {
		return err //nolint:wrapcheck // Store.fail reads it
	}
	return ok(c, userBody(resp.GetUser()))
}
